"""One sequence: masks, starts, directions, splits and segments, for every cell."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import recurrent
from tests import reference

TIME = reference.TIME
every_cell = pytest.mark.parametrize("name", reference.CELLS)
both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
masks = st.lists(st.booleans(), min_size=TIME, max_size=TIME).map(np.array)
few = partial(settings, deadline=None, derandomize=True)
ALL, NONE = np.ones(TIME, bool), np.zeros(TIME, bool)
GAPS = np.array([False, True, True, False, True, True, False])
STARTS = np.array([False, False, True, True, False, False, True])

FORMS = [("lstm", None), ("lstm", 3), ("gru", None)]
every_form = pytest.mark.parametrize("name, segment_size", FORMS)
scan = jax.jit(recurrent.scan_cell, static_argnums=0, static_argnames=("reverse", "segment_size"))


def scanned(*arguments, **options):
    """Returns what `scan` does as NumPy arrays: cutting JAX arrays eagerly would compile a program for each shape."""
    return jax.tree.map(np.asarray, scan(*arguments, **options))


def solve(name: str, problem: reference.Problem, dtype=np.float32, **options):
    """Runs `scan_cell` on a problem; returns its results and its gradients."""
    with jax.enable_x64(dtype is np.float64):
        ours = reference.to_library(recurrent.CELLS[name], problem, dtype)
        return reference.solve(recurrent.scan_cell, recurrent.CELLS[name], ours, **options)


def ours(name: str, problem: reference.Problem | None = None) -> tuple:
    """Returns a cell, its params, inputs and initial state."""
    cell = recurrent.CELLS[name]
    return cell, *jax.tree.map(np.asarray, reference.to_library(cell, problem or reference.draw(name))[:3])


@every_cell
@both_ways
@few(max_examples=20)
@given(is_token=masks, is_start=masks, seed=st.integers(0, 9))
@example(is_token=ALL, is_start=NONE, seed=0)
@example(is_token=NONE, is_start=NONE, seed=0)
@example(is_token=NONE, is_start=ALL, seed=0)
def test_any_mask_and_any_starts_equal_the_reference(name, reverse, is_token, is_start, seed):
    problem = reference.draw(name, seed)
    options = {"is_token": is_token, "is_start": is_start, "reverse": reverse}
    results, gradients = solve(name, problem, np.float64, **options)
    reference.check(results, reference.run(name, problem, **options), 1e-10)
    reference.check(gradients, reference.gradients(name, problem, **options), 1e-10)


@every_cell
@both_ways
@few(max_examples=20)
@given(is_token=masks)
def test_padding_anywhere_changes_no_bit(name, reverse, is_token):
    """The same tokens, spread and then side by side, in one compiled program."""
    cell, params, inputs, initial = ours(name)
    count = is_token.sum()
    side_by_side = np.arange(TIME) < count
    spread = np.full_like(inputs, 7.0)
    spread[is_token] = inputs[:count]
    outputs, final = scanned(cell, params, spread, is_token=is_token, initial=initial, reverse=reverse)
    expected, expected_final = scanned(cell, params, inputs, is_token=side_by_side, initial=initial, reverse=reverse)
    reference.check_bitwise(final, expected_final)
    reference.check_bitwise(outputs[is_token], expected[side_by_side])


@every_cell
@both_ways
def test_padded_equals_unpadded(name, reverse):
    cell, params, inputs, initial = ours(name)
    outputs, final = scanned(cell, params, inputs, is_token=GAPS, initial=initial, reverse=reverse)
    expected = scanned(cell, params, inputs[GAPS], initial=initial, reverse=reverse)
    reference.check((outputs[GAPS], final), expected, 1e-6)


@pytest.mark.fault(19)
@every_cell
@both_ways
@few(max_examples=10)
@given(is_token=masks, is_start=masks)
@pytest.mark.parametrize("filling", [np.nan, np.inf])
def test_what_padding_holds_touches_neither_values_nor_gradients(name, reverse, filling, is_token, is_start):
    problem = reference.draw(name)
    zero, filled = (
        problem._replace(inputs=np.where(is_token[:, None], problem.inputs, value)) for value in (0.0, filling)
    )
    options = {"is_token": is_token, "is_start": is_start, "reverse": reverse}
    with jax.debug_nans(False):
        actual = solve(name, filled, **options)
    reference.check_bitwise(actual, solve(name, zero, **options))
    _, d_inputs, _ = actual[1]
    np.testing.assert_array_equal(d_inputs[~is_token], 0)


@every_cell
@both_ways
def test_a_sequence_without_tokens_returns_its_initial_state_and_zeros(name, reverse):
    problem = reference.draw(name)
    cell = recurrent.CELLS[name]
    (outputs, final), (d_params, d_inputs, d_initial) = solve(name, problem, is_token=NONE, reverse=reverse)
    expected = reference.to_library(cell, problem)
    np.testing.assert_array_equal(outputs, 0)
    reference.check_bitwise((final, d_initial), (expected.initial, expected.d_final))
    reference.check_bitwise((d_params, d_inputs), jax.tree.map(np.zeros_like, (d_params, d_inputs)))


@every_cell
@both_ways
@pytest.mark.parametrize("segment_size", [None, 3])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_a_sequence_of_no_steps_returns_its_initial_state(name, reverse, segment_size, masked):
    cell, params, inputs, initial = ours(name, reference.draw(name, time=0))
    options = {"is_token": np.zeros(0, bool), "is_start": np.zeros(0, bool)} if masked else {}
    outputs, final = scanned(
        cell, params, inputs, initial=initial, reverse=reverse, segment_size=segment_size, **options
    )
    assert outputs.shape == (0, reference.HIDDEN)
    reference.check_bitwise(final, initial)


@every_cell
def test_the_initial_state_is_zero_by_default(name):
    cell, params, inputs, initial = ours(name)
    zero = jax.tree.map(np.zeros_like, initial)
    reference.check_bitwise(scanned(cell, params, inputs), scanned(cell, params, inputs, initial=zero))


@every_cell
@both_ways
def test_a_sequence_cut_by_starts_equals_its_parts_run_apart(name, reverse):
    cell, params, inputs, initial = ours(name)
    parts = [slice(0, 2), slice(2, 3), slice(3, 6), slice(6, 7)]
    first = parts[-1] if reverse else parts[0]  # the part that the initial state belongs to
    outputs, final = scanned(cell, params, inputs, is_start=STARTS, initial=initial, reverse=reverse)
    finals = {}
    for part in parts:
        carried_in = initial if part == first else None
        expected, finals[part.start] = scanned(cell, params, inputs[part], initial=carried_in, reverse=reverse)
        reference.check(outputs[part], expected, 1e-6)
    reference.check(final, finals[parts[0].start if reverse else parts[-1].start], 1e-6)


@every_cell
def test_a_start_at_the_first_step_replaces_the_initial_state(name):
    cell, params, inputs, initial = ours(name)
    is_start = np.arange(TIME) == 0
    actual = scanned(cell, params, inputs, is_start=is_start, initial=initial)
    reference.check_bitwise(actual, scanned(cell, params, inputs, is_start=is_start))


@every_cell
@both_ways
def test_no_gradient_crosses_a_start(name, reverse):
    cell, params, inputs, initial = ours(name)
    is_token = GAPS | STARTS
    options = {"is_token": is_token, "is_start": STARTS, "reverse": reverse}
    of_inputs, of_initial = jax.jacobian(
        lambda inputs, initial: scan(cell, params, inputs, initial=initial, **options)[0], argnums=(0, 1)
    )(inputs, initial)
    touches = np.any(of_inputs != 0, axis=(1, 3))  # [step of the output, step of the input]
    part = np.cumsum(STARTS)
    earlier = np.tri(TIME, dtype=bool).T if reverse else np.tri(TIME, dtype=bool)
    expected = (part[:, None] == part) & earlier & is_token
    np.testing.assert_array_equal(touches, expected)
    in_first_part = part == (part[-1] if reverse else part[0])
    has_begun = np.array([any(row) for row in expected])
    for jacobian in of_initial:
        np.testing.assert_array_equal(np.any(jacobian != 0, axis=(1, 2)), in_first_part & has_begun)


@every_cell
@both_ways
@few(max_examples=10)
@given(is_token=masks, is_start=masks, cut=st.sampled_from([2, 5]))
def test_carrying_the_state_over_a_cut_equals_the_whole(name, reverse, is_token, is_start, cut):
    if reverse:
        is_start = is_start & (np.arange(TIME) != cut)  # where a sequence ends at the cut, there is nothing to carry
    cell, params, inputs, state = ours(name)
    outputs, final = scanned(cell, params, inputs, is_token=is_token, is_start=is_start, initial=state, reverse=reverse)
    parts = [slice(0, cut), slice(cut, TIME)]
    for part in reversed(parts) if reverse else parts:
        options = {"is_token": is_token[part], "is_start": is_start[part], "reverse": reverse}
        of_part, state = scanned(cell, params, inputs[part], initial=state, **options)
        counts = is_token[part]
        reference.check(of_part[counts], outputs[part][counts], 1e-6)
    reference.check(state, final, 1e-6)


SEGMENTS = [
    *((name, 4, False) for name in reference.CELLS),
    *(("lstm", size, False) for size in (1, 6, 100)),
    *(("lstm", size, True) for size in (2, 4)),
]


@pytest.mark.parametrize("name, segment_size, reverse", SEGMENTS)
def test_segments_change_neither_values_nor_gradients(name, segment_size, reverse):
    problem = reference.draw(name, time=6)
    options = {"is_token": GAPS[:6], "is_start": STARTS[:6], "reverse": reverse}
    actual = solve(name, problem, np.float64, segment_size=segment_size, **options)
    reference.check(actual, solve(name, problem, np.float64, **options), 1e-12)


@both_ways
def test_segments_without_masks(reverse):
    problem = reference.draw("lstm")
    actual = solve("lstm", problem, np.float64, segment_size=3, reverse=reverse)
    reference.check(actual, solve("lstm", problem, np.float64, reverse=reverse), 1e-12)


@every_cell
@both_ways
def test_starts_lead_to_the_states_that_are_given(name, reverse):
    cell, params, inputs, initial = ours(name)
    table = jax.tree.map(
        lambda leaf: np.linspace(-0.5, 0.5, 3, dtype=np.float32)[:, None] * np.ones_like(leaf), initial
    )
    index = np.array([9, 9, 2, 0, 9, 9, 1])  # asked for at starts alone
    parts = [slice(0, 2), slice(2, 3), slice(3, 6), slice(6, 7)]
    # Forwards a start's state begins its own part, backwards the part before it.
    begins = {0: None, 2: 2, 3: 0, 6: 1} if not reverse else {0: 2, 2: 0, 3: 1, 6: None}
    options = {"is_start": STARTS, "initial": initial, "reset_to": table, "reset_index": index, "reverse": reverse}
    outputs, _ = scanned(cell, params, inputs, **options)
    for part in parts:
        row = begins[part.start]
        carried_in = initial if row is None else jax.tree.map(lambda leaf, row=row: leaf[row], table)
        expected, _ = scanned(cell, params, inputs[part], initial=carried_in, reverse=reverse)
        reference.check(outputs[part], expected, 1e-6)


@pytest.mark.parametrize("segment_size", [None, 2])
@both_ways
def test_truncation_stops_gradients_between_chunks_and_changes_no_value(reverse, segment_size):
    cell, params, inputs, initial = ours("lstm")
    chunks = [slice(4, 7), slice(1, 4), slice(0, 1)] if reverse else [slice(0, 3), slice(3, 6), slice(6, 7)]

    def truncated(params, inputs, initial):
        options = {"truncate_every": 3, "segment_size": segment_size, "reverse": reverse, "initial": initial}
        outputs, final = recurrent.scan_cell(cell, params, inputs, **options)
        return jnp.sum(jnp.sin(outputs)) + jnp.sum(final.memory)

    def by_hand(params, inputs, state):
        total = 0.0
        for chunk in chunks:
            outputs, state = recurrent.scan_cell(cell, params, inputs[chunk], initial=state, reverse=reverse)
            total += jnp.sum(jnp.sin(outputs))
            last, state = state, jax.lax.stop_gradient(state)
        return total + jnp.sum(last.memory)

    arguments = (params, inputs, initial)
    actual = jax.jit(jax.value_and_grad(truncated, argnums=(0, 1, 2)))(*arguments)
    reference.check(actual, jax.jit(jax.value_and_grad(by_hand, argnums=(0, 1, 2)))(*arguments), 1e-5)


def test_segments_save_memory():
    cell, params, inputs, initial = ours("lstm", reference.draw("lstm", time=900, hidden_size=16))

    def memory(segment_size):
        def loss(params):
            return scan(cell, params, inputs, initial=initial, segment_size=segment_size)[1].hidden.sum()

        return jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis().temp_size_in_bytes

    assert memory(30) < memory(None) / 4


@every_form
def test_forward_mode_agrees_with_reverse_mode(name, segment_size, float64):
    cell = recurrent.CELLS[name]
    options = {"is_token": GAPS, "is_start": STARTS, "segment_size": segment_size}
    problem, direction = (reference.to_library(cell, reference.draw(name, seed), np.float64) for seed in (0, 1))
    _, gradients = reference.solve(recurrent.scan_cell, cell, problem, **options)

    def forward(params, inputs, initial):
        return scan(cell, params, inputs, initial=initial, **options)

    _, tangents = jax.jvp(forward, problem[:3], direction[:3])
    one = jax.tree.map(jnp.vdot, tangents, (problem.d_outputs, problem.d_final))
    other = jax.tree.map(jnp.vdot, gradients, direction[:3])
    reference.check(sum(jax.tree.leaves(one)), sum(jax.tree.leaves(other)), 1e-10)


@every_form
def test_second_derivatives_are_the_reference_gradients_differences(name, segment_size, float64):
    cell = recurrent.CELLS[name]
    options = {"is_token": GAPS, "is_start": STARTS}
    problem, direction = (reference.draw(name, seed) for seed in (0, 1))
    direction = direction._replace(
        d_outputs=0 * direction.d_outputs, d_final=jax.tree.map(np.zeros_like, direction.d_final)
    )

    def gradients_at(distance):
        moved = jax.tree.map(lambda array, other: array + distance * other, problem, direction)
        return reference.gradients(name, moved, **options)

    expected = jax.tree.map(lambda one, other: (one - other) / 2e-5, gradients_at(1e-5), gradients_at(-1e-5))

    def gradients_of(problem):
        return reference.differentiate(recurrent.scan_cell, cell, problem, segment_size=segment_size, **options)[1]

    _, actual = jax.jvp(
        gradients_of,
        (reference.to_library(cell, problem, np.float64),),
        (reference.to_library(cell, direction, np.float64),),
    )
    reference.check(actual, expected, 1e-7)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_vmap_runs_an_ensemble_of_params(name):
    cell, _, inputs, _ = ours(name)
    members = [cell.init(key, reference.INPUT, reference.HIDDEN) for key in jax.random.split(jax.random.key(0), 3)]
    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *members)
    outputs, finals = jax.vmap(lambda params: scan(cell, params, inputs, is_token=GAPS))(stacked)
    for index, params in enumerate(members):
        expected = scanned(cell, params, inputs, is_token=GAPS)
        reference.check((outputs[index], jax.tree.map(lambda leaf, i=index: leaf[i], finals)), expected, 1e-6)


def test_the_session_is_strict():
    """An implicit promotion would go unnoticed otherwise."""
    with pytest.raises(jax.dtypes.TypePromotionError, match="strict"):
        jnp.ones(2, jnp.float32) + jnp.ones(2, jnp.bfloat16)
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 2)) + jnp.ones(2)


REFUSED = {
    "a batch": (
        {"inputs": jnp.ones((2, TIME, 3))},
        r"takes one sequence \[time, input\], not batch axes \(2,\); `run`",
    ),
    "one step": ({"inputs": jnp.ones(3)}, r"not of shape \[\(3,\)\]"),
    "token ids": ({"inputs": jnp.ones((TIME, 3), jnp.int32)}, "floating point, not int32: embed or cast"),
    "a short mask": ({"is_token": jnp.ones(TIME - 1, bool)}, r"is_token must be bool\[7\], not bool\[6\]"),
    "a mask of numbers": ({"is_token": jnp.ones(TIME)}, r"is_token must be bool\[7\], not float32\[7\]"),
    "a mask of features": ({"is_token": jnp.ones((TIME, 3), bool)}, r"is_token must be bool\[7\], not bool\[7, 3\]"),
    "long starts": ({"is_start": jnp.ones(TIME + 1, bool)}, r"is_start must be bool\[7\], not bool\[8\]"),
    "starts as numbers": ({"is_start": jnp.ones(TIME, jnp.int32)}, r"is_start must be bool\[7\], not int32\[7\]"),
    "no segment": ({"segment_size": 0}, "segment_size must be an integer of at least 1, not 0"),
    "another cell's state": (
        {"initial": recurrent.gru.State(jnp.ones(4))},
        r"initial must have the structure \w+\.State",
    ),
    "a bare array": ({"initial": jnp.ones(4)}, r"initial must have the structure \w+\.State"),
    "a larger state": (
        {"initial": recurrent.lstm.State(jnp.ones(5), jnp.ones(5))},
        r"an array of shape \(5,\), which must be \(4,\)",
    ),
    "a batch of states": (
        {"initial": recurrent.lstm.State(jnp.ones((2, 4)), jnp.ones((2, 4)))},
        r"an array of shape \(2, 4\), which must be \(4,\)",
    ),
}


@pytest.mark.parametrize("arguments, message", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("door", [recurrent.scan_cell, scan], ids=["plain", "compiled"])
def test_what_does_not_fit_is_refused(door, arguments, message):
    cell, params, inputs, _ = ours("lstm")
    with pytest.raises(ValueError, match=message):
        door(cell, params, **{"inputs": inputs, **arguments})
