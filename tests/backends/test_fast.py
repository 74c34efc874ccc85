"""The fast backends against the plain one, which other tests hold against NumPy: values and every gradient."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recurrent
import recurrent.native
from recurrent.cells import layer_norm_gru, layer_norm_lstm

NATIVE = pytest.param("native", marks=pytest.mark.skipif(bool(why := recurrent.native.why_not()), reason=str(why)))
FAST = ["fused", NATIVE]

ROWS, TIME, INPUT, HIDDEN = 5, 17, 3, 4
CELLS = {name: recurrent.CELLS[name] for name in ("lstm", "gru", "simple_rnn")}


class Given(NamedTuple):
    """Floating arguments, all of which have a gradient."""

    params: Any
    inputs: Any
    initial: Any
    reset_to: Any
    mask: Any
    masks: Any
    prefix_input: Any


@cache
def draw(cell) -> Given:
    numbers = np.random.default_rng(7)

    def normal(*shape: int) -> jax.Array:
        return jnp.asarray(numbers.normal(size=shape), jnp.float32)  # JAX would compile a program for each shape

    params = jax.tree.map(
        lambda leaf: leaf + 0.1 * normal(*leaf.shape), cell.init(jax.random.key(numbers.integers(99)), INPUT, HIDDEN)
    )
    zero = cell.zero_state(params)

    def states(count: int) -> Any:
        return jax.tree.map(lambda leaf: normal(count, *leaf.shape), zero)

    return Given(
        params=params,
        inputs=normal(ROWS, TIME, INPUT),
        initial=states(ROWS),
        reset_to=states(3),
        mask=jnp.asarray(numbers.uniform(0, 2, (ROWS, 1, HIDDEN)), jnp.float32),
        masks=jnp.asarray(numbers.uniform(0, 2, (ROWS, TIME, HIDDEN)), jnp.float32),
        prefix_input=normal(INPUT),
    )


IS_TOKEN = jnp.asarray(np.random.default_rng(0).random((ROWS, TIME)) < 0.6).at[1].set(False).at[2].set(True)
IS_START = jnp.asarray(np.random.default_rng(1).random((ROWS, TIME)) < 0.2)
INDEX = jnp.asarray(np.random.default_rng(2).integers(0, 3, (ROWS, TIME)))
LENGTHS = jnp.array([3, 0, TIME, 16, 9])

WAYS = {
    "bare": lambda given: {},
    "segments and a rest": lambda given: {"segment_size": 5, "initial": given.initial},
    "masked": lambda given: {"is_token": IS_TOKEN, "segment_size": 4},
    "masked backwards": lambda given: {"is_token": IS_TOKEN, "segment_size": 4, "reverse": True},
    "starts": lambda given: {"is_start": IS_START, "is_token": IS_TOKEN, "initial": given.initial, "segment_size": 6},
    "starts to given states": lambda given: {"is_start": IS_START, "reset_to": given.reset_to, "reset_index": INDEX},
    "starts to given states backwards": lambda given: {
        "is_start": IS_START,
        "reset_to": given.reset_to,
        "reset_index": INDEX,
        "reverse": True,
        "segment_size": 5,
    },
    "one recurrent mask": lambda given: {"recurrent_mask": given.mask, "is_token": IS_TOKEN},
    "recurrent masks": lambda given: {"recurrent_mask": given.masks, "reverse": True, "segment_size": 5},
    "truncated": lambda given: {"truncate_every": 4, "segment_size": 6, "initial": given.initial},
    "truncated backwards": lambda given: {"truncate_every": 4, "reverse": True, "is_token": IS_TOKEN},
    "a prefix": lambda given: {"prefix": recurrent.Prefix(given.prefix_input, LENGTHS), "segment_size": 4},
}


def weighed(leaf):
    return jnp.sum(jnp.sin(jnp.arange(leaf.size, dtype=leaf.dtype)) * leaf.ravel())


def everything(cell, way, backend, is_final):
    """Returns outputs, final state and the gradient of a sum that weighs each of their numbers."""

    def total(given: Given):
        arguments = dict(WAYS[way](given), backend=backend)
        if is_final:
            results = recurrent.run_final(cell, given.params, given.inputs, **arguments)
        else:
            results = recurrent.run(cell, given.params, given.inputs, **arguments)
        return sum(weighed(leaf) for leaf in jax.tree.leaves(results)), results

    (_, results), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(draw(cell))
    return results, gradient


def assert_close(result, expected, tolerance=1e-5):
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == theirs.dtype
        scale = np.max(np.abs(theirs), initial=1e-3)
        np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=tolerance)


@cache
def expected(cell, way, is_final):
    return everything(cell, way, "plain", is_final)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", FAST)
def test_an_lstm_is_the_same(backend, way):
    assert_close(everything(recurrent.lstm, way, backend, False), expected(recurrent.lstm, way, False))


@pytest.mark.parametrize("way", ["masked", "starts to given states backwards", "recurrent masks", "a prefix"])
@pytest.mark.parametrize("name", ["gru", "simple_rnn"])
@pytest.mark.parametrize("backend", FAST)
def test_other_cells_are_the_same(backend, name, way):
    assert_close(everything(CELLS[name], way, backend, False), expected(CELLS[name], way, False))


@pytest.mark.parametrize("way", ["bare", "masked", "a prefix"])
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("backend", FAST)
def test_the_final_state_alone_is_the_same(backend, name, way):
    assert_close(everything(CELLS[name], way, backend, True), expected(CELLS[name], way, True))


@pytest.mark.parametrize("cell", [layer_norm_lstm, layer_norm_gru], ids=["lstm", "gru"])
def test_gains_that_update_uses_get_their_gradient(cell):
    assert_close(everything(cell, "masked", "fused", False), everything(cell, "masked", "plain", False))


def final_and_gradient(backend):
    cell = recurrent.lstm

    def total(given: Given, is_token, is_start, lengths, by_prefix):
        arguments: dict[str, Any] = {"backend": backend, "segment_size": 5}
        if by_prefix:
            arguments["prefix"] = recurrent.Prefix(given.prefix_input, lengths)
        else:
            arguments |= {"is_token": is_token, "is_start": is_start}
        final = recurrent.run_final(cell, given.params, given.inputs, **arguments)
        return jnp.sum(final.hidden**2) + jnp.sum(final.memory**2), final  # nothing cancels, so that it has a scale

    return jax.jit(jax.value_and_grad(total, has_aux=True), static_argnums=4)


FINAL_AND_GRADIENT = {backend: final_and_gradient(backend) for backend in ("fused", "native", "plain")}
FUSED, PLAIN = FINAL_AND_GRADIENT["fused"], FINAL_AND_GRADIENT["plain"]
GIVEN = draw(recurrent.lstm)
masks = st.lists(st.lists(st.booleans(), min_size=TIME, max_size=TIME), min_size=ROWS, max_size=ROWS)


@pytest.mark.parametrize("backend", FAST)
@settings(max_examples=40, deadline=None)
@given(masks, masks)
def test_any_mask_and_any_starts_are_the_same(backend, is_token, is_start):
    arguments = (GIVEN, jnp.asarray(is_token), jnp.asarray(is_start), LENGTHS, False)
    assert_close(FINAL_AND_GRADIENT[backend](*arguments), PLAIN(*arguments))


@pytest.mark.parametrize("backend", FAST)
@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, TIME), min_size=ROWS, max_size=ROWS))
def test_any_prefix_is_the_same(backend, lengths):
    arguments = (GIVEN, IS_TOKEN, IS_START, jnp.asarray(lengths), True)
    assert_close(FINAL_AND_GRADIENT[backend](*arguments), PLAIN(*arguments))


@pytest.mark.parametrize("vocabulary", [6, 400], ids=["a small table", "a large table"])
@pytest.mark.parametrize("fast", FAST)
def test_inputs_are_made_by_the_backend_and_their_table_gets_its_gradient(fast, vocabulary):
    tokens = jax.random.randint(jax.random.key(1), (ROWS, TIME), 0, vocabulary)
    table = jax.random.normal(jax.random.key(2), (vocabulary, INPUT))
    params = recurrent.gru.init(jax.random.key(3), INPUT, HIDDEN)

    def total(params, table, is_made, backend):
        inputs, make_inputs = (tokens, lambda tokens: table[tokens]) if is_made else (table[tokens], None)
        arguments = {"make_inputs": make_inputs, "segment_size": 5, "is_token": IS_TOKEN, "backend": backend}
        outputs, final = recurrent.run(recurrent.gru, params, inputs, **arguments)
        return jnp.sum(outputs**2) + jnp.sum(final.hidden)

    gradient = jax.jit(jax.grad(total, argnums=(0, 1)), static_argnums=(2, 3))
    expected = gradient(params, table, False, "plain")
    assert_close(gradient(params, table, True, fast), expected)
    assert_close(gradient(params, table, True, "plain"), expected)


@pytest.mark.parametrize("backend", FAST)
def test_what_stands_in_the_prefix_counts_nothing(backend):
    inputs = GIVEN.inputs.at[0, :3].set(jnp.nan).at[2].set(jnp.nan)
    compute = FINAL_AND_GRADIENT[backend]
    value, gradient = compute(GIVEN._replace(inputs=inputs), IS_TOKEN, IS_START, LENGTHS, True)
    expected_value, expected = compute(GIVEN, IS_TOKEN, IS_START, LENGTHS, True)
    assert_close((value, gradient), (expected_value, expected))
    assert not np.any(gradient.inputs[2])


def test_a_cell_with_a_matmul_in_its_update_is_refused_and_runs_plainly():
    params = recurrent.gru_reset_before.init(jax.random.key(0), INPUT, HIDDEN)
    with pytest.raises(ValueError, match="'fused' cannot run this call: the cell multiplies matrices in `update`"):
        recurrent.run(recurrent.gru_reset_before, params, GIVEN.inputs, backend="fused")
    auto, _ = recurrent.run(recurrent.gru_reset_before, params, GIVEN.inputs)
    plain, _ = recurrent.run(recurrent.gru_reset_before, params, GIVEN.inputs, backend="plain")
    np.testing.assert_array_equal(auto, plain)


def test_an_unknown_backend_is_refused():
    with pytest.raises(
        ValueError, match="backend must be auto or one of native, fused, plain, cudnn, cuda, not 'quick'"
    ):
        recurrent.run(recurrent.lstm, GIVEN.params, GIVEN.inputs, backend="quick")


@pytest.mark.parametrize("backend", FAST)
def test_forward_mode_is_the_plain_backends(backend):
    def total(params, backend):
        return jnp.sum(recurrent.run_final(recurrent.lstm, params, GIVEN.inputs, backend=backend).hidden)

    with pytest.raises(ValueError, match="differentiated in forward mode"):
        jax.jvp(lambda params: total(params, backend), (GIVEN.params,), (GIVEN.params,))
    _, tangent = jax.jvp(lambda params: total(params, "plain"), (GIVEN.params,), (GIVEN.params,))
    gradient = jax.grad(total)(GIVEN.params, backend)
    expected = sum(jnp.sum(one * other) for one, other in zip(gradient, GIVEN.params, strict=True))
    np.testing.assert_allclose(tangent, expected, rtol=1e-5)


@pytest.mark.parametrize("backend", FAST)
def test_batch_axes_may_be_mapped_from_outside(backend):
    outputs, final = jax.vmap(lambda inputs: recurrent.run(recurrent.lstm, GIVEN.params, inputs, backend=backend))(
        GIVEN.inputs[:, None]
    )
    expected = recurrent.run(recurrent.lstm, GIVEN.params, GIVEN.inputs[:, None], backend="plain")
    assert_close((outputs, final), expected)


@pytest.mark.parametrize("backend", FAST)
def test_the_carry_is_float32_under_bfloat16(backend):
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), GIVEN.params)
    inputs = GIVEN.inputs.astype(jnp.bfloat16)
    outputs, final = recurrent.run(recurrent.lstm, params, inputs, backend=backend)
    expected = recurrent.run(recurrent.lstm, params, inputs, backend="plain")
    assert (outputs.dtype, final.memory.dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(final.memory, expected[1].memory, rtol=1e-6, atol=1e-7 if backend == "native" else 0)
    gradient = jax.grad(
        lambda params: jnp.sum(recurrent.run_final(recurrent.lstm, params, inputs, backend=backend).hidden)
    )(params)
    assert {leaf.dtype for leaf in gradient} == {jnp.dtype(jnp.bfloat16)}


class LearnedParams(NamedTuple):
    own: recurrent.simple_rnn.Params
    first: Any  # where every sequence begins
    scale: Any  # a single number


class LearnsItsStart:
    """A SimpleRNN of a user: its first state is learned, and a number scales what it hands on."""

    def zero_state(self, params):
        return recurrent.simple_rnn.State(params.first)

    def project(self, params, x):
        return recurrent.simple_rnn.project(params.own, x)

    def recur(self, params, state):
        return recurrent.simple_rnn.recur(params.own, state)

    def update(self, params, state, projected, recurrent_):
        state, _ = recurrent.simple_rnn.update(params.own, state, projected, recurrent_)
        return recurrent.simple_rnn.State(params.scale * state.hidden), params.scale * state.hidden


def test_a_learned_start_and_a_single_number_get_their_gradients():
    cell, own = LearnsItsStart(), recurrent.simple_rnn.init(jax.random.key(0), INPUT, HIDDEN)
    params = LearnedParams(own, jnp.linspace(-0.5, 0.5, HIDDEN), jnp.float32(0.9))

    def total(params, backend):
        outputs, _ = recurrent.run(cell, params, GIVEN.inputs, is_start=IS_START, segment_size=5, backend=backend)
        return jnp.sum(jnp.sin(outputs))

    gradient = jax.jit(jax.grad(total), static_argnums=1)
    assert_close(gradient(params, "fused"), gradient(params, "plain"))
