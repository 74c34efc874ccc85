"""Packing: plans that lose nothing, and rows in which each sequence gets what it would get alone."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import recurrent
from recurrent.packing import pack, pack_inputs, run_packed, unpack_outputs
from tests import compiler, reference

INPUT, HIDDEN = reference.INPUT, reference.HIDDEN
LENGTHS, ROW_LENGTH, MAX_TIME = (3, 0, 5, 1, 7, 2), 7, 8
PACKING = pack(LENGTHS, ROW_LENGTH, num_rows=4)  # a full row, one with three sequences, one with padding, an empty one

both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
some_ways = pytest.mark.parametrize(
    "name, reverse, backend",
    [
        ("lstm", False, "auto"),
        ("lstm", True, "auto"),
        ("lstm", True, "fused"),
        ("gru_reset_before", False, "auto"),
        ("gru_reset_before", True, "auto"),
    ],
)  # a cell that fits every backend, and one that only the plain one takes
few = partial(settings, deadline=None, derandomize=True)
options = {"static_argnums": 0, "static_argnames": ("reverse", "segment_size", "dtype", "backend")}
compiled = jax.jit(run_packed, **options)


@st.composite
def loads(draw):
    """Draws lengths and a row's length."""
    row_length = draw(st.integers(1, 12))
    return draw(st.lists(st.integers(0, row_length), max_size=30)), row_length


@few(max_examples=200)
@given(load=loads(), longest_first=st.booleans(), spare_rows=st.integers(0, 2))
@example(load=([], 1), longest_first=True, spare_rows=0)
@example(load=([0, 0], 3), longest_first=False, spare_rows=0)
def test_every_step_stands_in_one_place_and_in_order(load, longest_first, spare_rows):
    lengths, row_length = load
    num_rows = len(pack(lengths, row_length, longest_first=longest_first).is_token) + spare_rows
    packing = pack(lengths, row_length, num_rows, longest_first=longest_first)
    assert packing.is_token.shape == (num_rows, row_length)
    np.testing.assert_array_equal(packing.length, lengths)
    seen = np.zeros((num_rows, row_length), int)
    for number, length in enumerate(lengths):
        row, stop = packing.row[number], packing.last[number] + 1
        place = (row, slice(stop - length, stop))
        assert stop - length >= 0
        seen[place] += 1
        np.testing.assert_array_equal(packing.sequence[place], number)
        np.testing.assert_array_equal(packing.position[place], np.arange(length))
        np.testing.assert_array_equal(packing.is_start[place], np.arange(length) == 0)
    np.testing.assert_array_equal(seen, packing.is_token)  # nothing stands twice, and nothing else stands anywhere
    for array, nothing in ((packing.sequence, -1), (packing.position, 0), (packing.is_start, False)):
        np.testing.assert_array_equal(array[~packing.is_token], nothing)
    assert not (packing.is_token[:, 1:] & ~packing.is_token[:, :-1]).any()  # padding is at the end of rows alone
    assert packing.sequence.dtype == packing.position.dtype == packing.row.dtype == packing.last.dtype == np.int32


@st.composite
def full_rows(draw):
    """Draws lengths that fill a number of rows to the last step, so that this is the fewest they need."""
    row_length = draw(st.integers(2, 24))
    lengths = []
    num_rows = draw(st.integers(1, 12))
    for _ in range(num_rows):
        cuts = sorted(draw(st.sets(st.integers(1, row_length - 1), max_size=4)))
        lengths += np.diff([0, *cuts, row_length]).tolist()
    return draw(st.permutations(lengths)), row_length, num_rows


@few(max_examples=200)
@given(load=full_rows())
def test_rows_are_few(load):
    lengths, row_length, fewest = load
    assert fewest <= len(pack(lengths, row_length).is_token) <= (11 * fewest + 6) / 9
    assert fewest <= len(pack(lengths, row_length, longest_first=False).is_token) <= 1.7 * fewest


@few(max_examples=50)
@given(load=loads(), longest_first=st.booleans())
def test_the_plan_is_determined(load, longest_first):
    lengths, row_length = load
    one, other = (
        pack(form, row_length, longest_first=longest_first) for form in (lengths, np.array(lengths, np.int64))
    )
    reference.check_bitwise(one, other)
    if longest_first:  # equal ones stay in the order given
        laid = sorted((row, last, number) for number, (row, last) in enumerate(zip(one.row, one.last, strict=True)))
        for (row, _, number), (next_row, _, next_number) in pairwise(laid):
            if row == next_row and lengths[number] == lengths[next_number]:
                assert number < next_number


@few(max_examples=100)
@given(load=loads())
def test_each_sequence_is_in_the_first_row_that_had_room(load):
    lengths, row_length = load
    packing = pack(lengths, row_length, longest_first=False)
    free = [row_length] * (len(lengths) + 1)
    for number, length in enumerate(lengths):
        if length > 0:
            row = next(row for row, room in enumerate(free) if room >= length)
            assert (packing.row[number], packing.last[number]) == (row, row_length - free[row] + length - 1)
            free[row] -= length


def test_the_longest_first_need_fewer_rows():
    lengths = [2] * 6 + [4] * 6 + [7] * 6  # 2 + 4 + 7 fill a row; in this order 6 * 2 do, then 3 * 4, then 7 is alone
    assert len(pack(lengths, 13).is_token) == 6
    assert len(pack(lengths, 13, longest_first=False).is_token) == 1 + 2 + 6


def test_sequences_added_at_the_end_move_none_of_those_before_in_the_order_given():
    numbers = np.random.default_rng(0).integers(0, 9, 40)
    one, other = pack(numbers[:25], 10, longest_first=False), pack(numbers, 10, longest_first=False)
    np.testing.assert_array_equal(one.row, other.row[:25])
    np.testing.assert_array_equal(one.last, other.last[:25])


def test_lengths_may_be_an_array_of_the_device():
    reference.check_bitwise(pack(jnp.array(LENGTHS), ROW_LENGTH, num_rows=4), PACKING)


NOT_PACKED = {
    "too long": (([3, 9, 8], 7), r"from 0 to row_length 7, not \[9, 8\] \(sequences \[1, 2\]\)"),
    "negative": (([3, -1], 7), r"not \[-1\] \(sequences \[1\]\)"),
    "too many for the rows": (([4, 4, 4], 7, 2), "3 sequences need 3 rows of length 7, but num_rows is 2"),
    "no rows": (([], 7, 0), "0 sequences need 1 rows of length 7, but num_rows is 0"),
    "no columns": (([], 0), "row_length must be at least 1, not 0"),
    "fractions": (([1.5], 7), r"must be integers \[sequences\], not float64\[1\]"),
    "a table": (([[1], [2]], 7), r"must be integers \[sequences\], not int64\[2, 1\]"),
}


@pytest.mark.parametrize("arguments, message", NOT_PACKED.values(), ids=NOT_PACKED)
def test_what_cannot_be_packed_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        pack(*arguments)


def within(max_time: int = MAX_TIME) -> np.ndarray:
    """Says which of [sequences, max_time] are steps."""
    return np.arange(max_time) < np.array(LENGTHS)[:, None]


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
def test_values_go_into_rows_and_back(jit):
    values = {
        "ids": np.arange(1, 1 + len(LENGTHS) * MAX_TIME, dtype=np.int32).reshape(len(LENGTHS), MAX_TIME),
        "vectors": np.random.default_rng(0).normal(size=(len(LENGTHS), MAX_TIME, 2, 3)).astype(np.float32),
    }
    lay, collect = pack_inputs, unpack_outputs
    if jit:
        lay, collect = jax.jit(pack_inputs), jax.jit(unpack_outputs, static_argnames="max_time")
    packed = jax.tree.map(np.asarray, lay(PACKING, values))
    for name, array in values.items():
        assert packed[name].shape == (4, ROW_LENGTH, *array.shape[2:])
        for row, column in np.ndindex(4, ROW_LENGTH):
            number = PACKING.sequence[row, column]
            expected = 0 * array[0, 0] if number < 0 else array[number, PACKING.position[row, column]]
            np.testing.assert_array_equal(packed[name][row, column], expected)
    back = jax.tree.map(np.asarray, collect(PACKING, packed, max_time=MAX_TIME))
    for name, array in values.items():
        is_step = within().reshape(*within().shape, *[1] * (array.ndim - 2))
        np.testing.assert_array_equal(back[name], np.where(is_step, array, 0), strict=True)


def test_unpacking_is_the_gradient_of_packing_and_the_other_way_round():
    numbers = np.random.default_rng(0)
    values, rows = (
        jnp.asarray(numbers.normal(size=shape), jnp.float32) for shape in ((6, MAX_TIME, 2), (4, ROW_LENGTH, 2))
    )
    lay, collect = partial(pack_inputs, PACKING), partial(unpack_outputs, PACKING, max_time=MAX_TIME)
    _, pull_lay = jax.vjp(lay, values)
    _, pull_collect = jax.vjp(collect, rows)
    reference.check_bitwise(pull_lay(rows), (collect(rows),))
    reference.check_bitwise(pull_collect(values), (lay(values),))


def test_padding_of_the_values_is_never_read():
    values = np.where(within()[..., None], 1.0, np.nan).astype(np.float32)
    packed, pull = jax.vjp(partial(pack_inputs, PACKING), jnp.asarray(values))
    np.testing.assert_array_equal(packed[..., 0], PACKING.is_token.astype(np.float32))
    (gradient,) = pull(packed)
    np.testing.assert_array_equal(gradient[..., 0], within().astype(np.float32))


@pytest.mark.parametrize("lengths, max_time", [([], 5), ([0, 0], 5), ([0, 0], 0)], ids=str)
def test_nothing_is_packed_and_unpacked(lengths, max_time):
    packing = pack(lengths, ROW_LENGTH)
    packed = pack_inputs(packing, jnp.ones((len(lengths), max_time, 2)))
    np.testing.assert_array_equal(packed, np.zeros((1, ROW_LENGTH, 2)))
    back = unpack_outputs(packing, jnp.ones((1, ROW_LENGTH, 2)), max_time)
    np.testing.assert_array_equal(back, np.zeros((len(lengths), max_time, 2)))


NOT_LAID = {
    "fewer sequences": (pack_inputs, [jnp.ones((5, 7))], r"of 6 sequences, not \(5, 7\)"),
    "no time": (pack_inputs, [jnp.ones(6)], r"\[sequences, max_time, ...\] of 6 sequences, not \(6,\)"),
    "fewer steps": (pack_inputs, [jnp.ones((6, 6))], "max_time is 6, but the longest sequence has 7 steps"),
    "other rows": (unpack_outputs, [jnp.ones((3, 7)), 7], r"of \(4, 7\), not \(3, 7\)"),
    "a short time": (unpack_outputs, [jnp.ones((4, 7)), 6], "max_time is 6, but the longest sequence has 7 steps"),
}


@pytest.mark.parametrize("function, arguments, message", NOT_LAID.values(), ids=NOT_LAID)
def test_what_is_not_laid_out_so_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(PACKING, *arguments)


def run_apart(cell, params, inputs, *, packing, initial, backend="auto", **options):
    """Takes and returns [sequences, max_time, ...], packed in between."""
    outputs, final = run_packed(
        cell, params, pack_inputs(packing, inputs), packing, initial=initial, backend=backend, **options
    )
    return unpack_outputs(packing, outputs, inputs.shape[1]), final


run_apart_plain = partial(run_apart, backend="plain")


def draw(name: str, seed: int = 0) -> reference.Problem:
    return reference.draw(name, seed, batch=(len(LENGTHS),), time=MAX_TIME)


def solve_apart(name: str, problem: reference.Problem, lengths, reverse: bool):
    """Runs the NumPy loop on each sequence by itself; returns results and gradients."""
    outputs, d_inputs = np.zeros_like(problem.d_outputs), np.zeros_like(problem.inputs)
    final, d_initial = jax.tree.map(np.zeros_like, (problem.initial, problem.initial))
    d_params = jax.tree.map(np.zeros_like, problem.params)
    for number, length in enumerate(lengths):
        alone = problem.row((number,))
        alone = alone._replace(inputs=alone.inputs[:length], d_outputs=alone.d_outputs[:length])
        outputs[number, :length], final_alone = reference.run(name, alone, reverse=reverse)
        of_params, d_inputs[number, :length], of_initial = reference.gradients(name, alone, reverse=reverse)
        d_params = jax.tree.map(np.add, d_params, of_params)
        for array, value in zip((*final, *d_initial), (*final_alone, *of_initial), strict=True):
            array[number] = value
    return (outputs, final), (d_params, d_inputs, d_initial)


@pytest.mark.parametrize(
    "name, reverse, backend",
    [*((name, True, "auto") for name in reference.CELLS), ("lstm", False, "auto"), ("lstm", True, "fused")],
)
@few(max_examples=5)
@given(lengths=st.lists(st.integers(0, ROW_LENGTH), min_size=6, max_size=6), seed=st.integers(0, 9))
@example(lengths=list(LENGTHS), seed=0)
@example(lengths=[0] * 6, seed=0)
@example(lengths=[7] * 6, seed=0)
def test_packed_equals_each_sequence_alone(name, reverse, backend, lengths, seed):
    problem = draw(name, seed)
    packing = pack(lengths, ROW_LENGTH, num_rows=6)
    cell = recurrent.CELLS[name]
    with jax.enable_x64(True):
        ours = reference.to_library(cell, problem, np.float64)
        actual = reference.solve(partial(run_apart, backend=backend), cell, ours, packing=packing, reverse=reverse)
    reference.check(actual, solve_apart(name, problem, lengths, reverse), 1e-10)


@pytest.mark.parametrize(
    "door, reverse",
    [(run_apart, True), (run_apart_plain, False), (partial(run_apart, backend="fused"), True)],
    ids=["auto", "plain", "fused"],
)
def test_packed_equals_scan_cell_with_recurrent_masks_and_segments(door, reverse, float64):
    """`scan_cell` on each sequence, padded, one after the other."""
    cell, problem = recurrent.lstm, draw("lstm")
    problem = problem._replace(d_outputs=np.where(within()[..., None], problem.d_outputs, 0.0))
    mask = np.random.default_rng(0).choice([0.0, 2.0], size=(len(LENGTHS), 1, HIDDEN))
    ours = reference.to_library(cell, problem, np.float64)
    options = {"recurrent_mask": mask, "segment_size": 3, "reverse": reverse}
    (outputs, final), (d_params, d_inputs, d_initial) = reference.solve(door, cell, ours, packing=PACKING, **options)
    d_params_of_each = []
    for number, is_token in enumerate(within()):
        options = {"recurrent_mask": mask[number], "is_token": is_token, "reverse": reverse}
        alone = reference.to_library(cell, problem.row((number,)), np.float64)
        (expected, *state), (of_params, *rest) = reference.solve(recurrent.scan_cell, cell, alone, **options)
        row = jax.tree.map(lambda leaf, number=number: leaf[number], (outputs, final, d_inputs, d_initial))
        reference.check(row, (np.where(is_token[:, None], expected, 0.0), *state, *rest), 1e-12)
        d_params_of_each.append(of_params)
    reference.check(d_params, jax.tree.map(lambda *each: sum(each), *d_params_of_each), 1e-12)


@pytest.mark.parametrize("backend", ["auto", "fused"])
def test_inputs_may_be_made_from_packed_ids(backend):
    """As an embedding is: with the values and the gradient of rows that were looked up before."""
    cell, problem = recurrent.lstm, reference.to_library(recurrent.lstm, draw("lstm"))
    generator = np.random.default_rng(0)
    table = jnp.asarray(generator.normal(size=(11, INPUT)), jnp.float32)
    ids = pack_inputs(PACKING, generator.integers(0, 11, (len(LENGTHS), MAX_TIME)).astype(np.int32))

    def total(table, is_made):
        made = {"make_inputs": lambda ids: table[ids]} if is_made else {"backend": "plain"}
        options = {"initial": problem.initial, "reverse": True, "backend": backend, **made}
        outputs, final = run_packed(cell, problem.params, ids if is_made else table[ids], PACKING, **options)
        return jnp.sum(jnp.where(PACKING.is_token[..., None], outputs, 0) ** 2) + jnp.sum(final.memory**2)

    actual, expected = (jax.jit(jax.value_and_grad(total), static_argnums=1)(table, each) for each in (True, False))
    reference.check(actual, expected, 1e-6)


def test_the_initial_state_is_zero_by_default():
    cell = recurrent.lstm
    problem = reference.to_library(cell, draw("lstm"))
    inputs = pack_inputs(PACKING, problem.inputs)
    zero = jax.tree.map(jnp.zeros_like, problem.initial)
    optimized = jax.jit(run_packed, **options, compiler_options=compiler.OPTIMIZED)
    actual, expected = (
        optimized(cell, problem.params, inputs, PACKING, initial=state, reverse=True) for state in (None, zero)
    )
    reference.check_bitwise(actual, expected)


@some_ways
def test_changing_a_sequence_changes_no_bit_of_the_others(name, reverse, backend):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, draw(name))
    inputs = np.asarray(pack_inputs(PACKING, problem.inputs))

    def run(number):
        is_changed = PACKING.sequence == number
        initial = jax.tree.map(np.array, problem.initial)
        if number is not None:
            for array in initial:
                array[number] += 1
        changed = np.where(is_changed[..., None], inputs + 1, inputs)
        return jax.tree.map(
            np.asarray,
            compiled(cell, problem.params, changed, PACKING, initial=initial, reverse=reverse, backend=backend),
        )

    expected, expected_final = run(None)
    for number in range(len(LENGTHS)):
        outputs, final = run(number)
        changes = (outputs != expected).any(axis=-1)
        np.testing.assert_array_equal(changes[PACKING.is_token], (PACKING.sequence == number)[PACKING.is_token])
        for array, other in zip(final, expected_final, strict=True):
            np.testing.assert_array_equal((array != other).any(axis=-1), np.arange(len(LENGTHS)) == number)


@some_ways
def test_no_gradient_passes_from_one_sequence_to_another(name, reverse, backend):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, draw(name))
    inputs = pack_inputs(PACKING, problem.inputs)

    def results(inputs, initial):
        options = {"initial": initial, "reverse": reverse, "backend": backend}
        outputs, final = run_packed(cell, problem.params, inputs, PACKING, **options)
        return outputs[PACKING.is_token], final

    jacobian = jax.jit(jax.jacrev(results, argnums=(0, 1)))
    of_outputs, of_final = jax.tree.map(np.asarray, jacobian(inputs, problem.initial))
    owner, step = PACKING.sequence[PACKING.is_token], PACKING.position[PACKING.is_token]
    # [step of the output, row, column of the input]
    is_own = owner[:, None, None] == PACKING.sequence[None]
    is_before = (
        step[:, None, None] <= PACKING.position[None] if reverse else step[:, None, None] >= PACKING.position[None]
    )
    np.testing.assert_array_equal((of_outputs[0] != 0).any(axis=(1, 4)), is_own & is_before)
    numbers = np.arange(len(LENGTHS))
    for of_initial in of_outputs[1]:
        np.testing.assert_array_equal((of_initial != 0).any(axis=(1, 3)), owner[:, None] == numbers)
    for of_inputs, of_initial in of_final:
        is_own = numbers[:, None, None] == PACKING.sequence[None]
        np.testing.assert_array_equal((of_inputs != 0).any(axis=(1, 4)), is_own)
        for leaf in of_initial:
            touches = (leaf != 0).any(axis=(1, 3))
            np.testing.assert_array_equal(touches & ~np.eye(len(LENGTHS), dtype=bool), False)


@both_ways
def test_what_stands_where_there_is_no_step_touches_neither_values_nor_gradients(reverse):
    cell = recurrent.lstm
    problem = reference.to_library(cell, draw("lstm"))

    @jax.jit
    def solve(filling):
        inputs = jnp.where(PACKING.is_token[..., None], pack_inputs(PACKING, problem.inputs), filling)

        def results(params, inputs):
            outputs, final = compiled(cell, params, inputs, PACKING, initial=problem.initial, reverse=reverse)
            return unpack_outputs(PACKING, outputs, MAX_TIME), final

        values, pull = jax.vjp(results, problem.params, inputs)
        return values, pull((problem.d_outputs, problem.d_final))

    with jax.debug_nans(False):
        reference.check_bitwise(solve(jnp.nan), solve(0.0))


def test_one_program_serves_every_batch():
    run = jax.jit(run_packed, static_argnums=0)
    size = run._cache_size()  # shared with other tests
    params = recurrent.gru.init(jax.random.key(0), INPUT, HIDDEN)
    for lengths in ([3, 7, 0, 5], [1, 1, 1, 1], [7, 7, 7, 7]):
        run(recurrent.gru, params, jnp.ones((4, 7, INPUT)), pack(lengths, 7, num_rows=4))
        assert run._cache_size() == size + 1


@pytest.mark.parametrize("lengths", [[], [0, 0, 0]], ids=str)
@both_ways
@pytest.mark.parametrize("given_state", [False, True], ids=["zero", "given"])
def test_sequences_without_steps_end_as_they_begin(lengths, reverse, given_state):
    packing = pack(lengths, ROW_LENGTH)
    params = recurrent.lstm.init(jax.random.key(0), INPUT, HIDDEN)
    inputs = jnp.ones((1, ROW_LENGTH, INPUT))
    state = recurrent.lstm.State(*(jnp.full((len(lengths), HIDDEN), value) for value in (2.0, 3.0)))
    initial = state if given_state else None
    mask = jnp.ones((len(lengths), 1, HIDDEN))
    outputs, final = compiled(
        recurrent.lstm, params, inputs, packing, initial=initial, recurrent_mask=mask, reverse=reverse
    )
    assert outputs.shape == (1, ROW_LENGTH, HIDDEN)
    reference.check_bitwise(final, state if given_state else jax.tree.map(jnp.zeros_like, state))


def test_narrow_outputs_do_not_round_the_final_state():
    cell = recurrent.lstm
    problem = reference.to_library(cell, draw("lstm"))
    inputs = pack_inputs(PACKING, problem.inputs)
    wide, final = compiled(cell, problem.params, inputs, PACKING)
    narrow, final_beside_narrow = compiled(cell, problem.params, inputs, PACKING, dtype=jnp.bfloat16)
    assert narrow.dtype == jnp.bfloat16
    reference.check_bitwise(final_beside_narrow, final)
    reference.check_bitwise(narrow, wide.astype(jnp.bfloat16))


NOT_RUN = {
    "rows of another plan": (
        {"inputs": jnp.ones((3, 7, INPUT))},
        r"is_token must have shape \(3, 7\)|is_token must be",
    ),
    "states of rows": (
        {"initial": recurrent.gru.State(jnp.ones((4, HIDDEN)))},
        r"initial has an array of shape \(4, 4\), which must be \(6, 4\)",
    ),
    "another cell's states": (
        {"initial": recurrent.lstm.State(jnp.ones((6, 4)), jnp.ones((6, 4)))},
        r"initial must have the structure \w+\.State",
    ),
    "a mask of rows": (
        {"recurrent_mask": jnp.ones((4, 1, HIDDEN))},
        r"recurrent_mask must have shape \(6, 1, 4\), not \(4, 1, 4\)",
    ),
    "no backend": ({"backend": "abacus"}, "backend must be auto or one of"),
}


@pytest.mark.parametrize("arguments, message", NOT_RUN.values(), ids=NOT_RUN)
def test_what_does_not_fit_is_refused(arguments, message):
    params = recurrent.gru.init(jax.random.key(0), INPUT, HIDDEN)
    with pytest.raises(ValueError, match=message):
        run_packed(recurrent.gru, params, packing=PACKING, **{"inputs": jnp.ones((4, 7, INPUT)), **arguments})
