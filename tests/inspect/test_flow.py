"""Gradients through time against NumPy's backward pass and closed forms."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.inspect import decay, from_end, gradient_flow, norms
from tests import reference

MASK = np.array([False, True, True, False, True, True, False])
STARTS = np.array([False, False, True, True, False, False, True])
OPTIONS = {"plain": {}, "masked": {"is_token": MASK}, "masked and reset": {"is_token": MASK, "is_start": STARTS}}


class Linear:
    """h' = x + h U: what is left of a SimpleRNN without its tanh."""

    class State(NamedTuple):
        hidden: jax.Array

    def init(self, key, input_size, hidden_size):
        raise NotImplementedError

    def zero_state(self, params):
        return self.State(jnp.zeros(len(params), params.dtype))

    def project(self, params, x):
        return x

    def recur(self, params, state):
        return state.hidden @ params

    def update(self, params, state, projected, recurrent):
        return self.State(projected + recurrent), projected + recurrent


def orthogonal(size, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def weigh(d_outputs, d_final):
    """The scalar whose gradients with respect to outputs and final state are these."""
    return lambda outputs, final: (
        jnp.sum(outputs * d_outputs) + sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), final, d_final)))
    )


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", reference.CELLS)
def test_a_states_gradient_is_that_of_the_rest_of_the_sequence_begun_from_it(name, options, float64):
    problem = reference.draw(name)
    cell, ours = recurrent.CELLS[name], reference.to_library(recurrent.CELLS[name], problem, np.float64)
    scalar = weigh(0.0, ours.d_final)
    given = jax.tree.map(jnp.asarray, options)
    _, found = gradient_flow(cell, ours.params, ours.inputs, scalar, initial=ours.initial, **given)
    outputs, finals, silent = [], [], np.zeros_like(problem.d_outputs)
    for t in range(reference.TIME):
        upto = problem._replace(inputs=problem.inputs[: t + 1])
        _, state = reference.run(name, upto, **{key: mask[: t + 1] for key, mask in options.items()})
        rest = problem._replace(inputs=problem.inputs[t + 1 :], d_outputs=silent[t + 1 :], initial=state)
        outputs.append(state)
        gradient = reference.gradients(name, rest, **{key: mask[t + 1 :] for key, mask in options.items()})[2]
        counts = options.get("is_token", np.ones(7, bool))[t]
        finals.append([part if counts else np.zeros_like(part) for part in gradient])
    expected = [np.stack(column) for column in zip(*finals, strict=True)]
    reference.check(found, jax.tree.unflatten(jax.tree.structure(found), expected), 1e-9)


@pytest.mark.parametrize("name", reference.CELLS)
def test_an_output_counts_as_the_state_that_it_is(name, float64):
    problem = reference.draw(name)
    cell, ours = recurrent.CELLS[name], reference.to_library(recurrent.CELLS[name], problem, np.float64)
    scalar = weigh(ours.d_outputs, ours.d_final)
    value, found = gradient_flow(cell, ours.params, ours.inputs, scalar, initial=ours.initial)
    outputs, final = reference.run(name, problem)
    expected = np.sum(outputs * problem.d_outputs) + sum(
        np.sum(a * b) for a, b in zip(final, problem.d_final, strict=True)
    )
    assert float(value) == pytest.approx(expected, rel=1e-10)
    at = 3
    _, state = reference.run(name, problem._replace(inputs=problem.inputs[: at + 1]))
    rest = problem._replace(inputs=problem.inputs[at + 1 :], d_outputs=problem.d_outputs[at + 1 :], initial=state)
    hidden, *others = reference.gradients(name, rest)[2]
    expected = (hidden + problem.d_outputs[at], *others)
    reference.check(jax.tree.map(lambda leaf: leaf[at], tuple(found)), expected, 1e-9)


@pytest.mark.parametrize("rho", [0.9, 1.0, 1.1])
def test_a_linear_recurrence_multiplies_by_rho_a_step(rho, float64):
    num_steps = 60
    params = jnp.asarray(rho * orthogonal(8))
    inputs = jax.random.normal(jax.random.key(0), (num_steps, 8), jnp.float64)
    _, gradient = gradient_flow(Linear(), params, inputs, lambda outputs, final: jnp.sum(final.hidden**2))
    by_lag = from_end(norms(gradient).hidden)
    np.testing.assert_allclose(by_lag / by_lag[0], rho ** np.arange(num_steps), rtol=1e-10)
    slope, half_life = decay(by_lag)
    assert float(slope) == pytest.approx(math.log10(rho), abs=1e-10)
    if rho < 1:
        assert float(half_life) == pytest.approx(-math.log(2) / math.log(rho), rel=1e-9)
    if rho > 1:
        assert math.isinf(half_life)


@pytest.mark.parametrize("bias, half_life", [(0, 1.0), (1, 2.2), (5, 103.2)])
def test_along_an_lstms_memory_go_its_forget_gates(bias, half_life, float64):
    num_steps, forget = 50, 1 / (1 + math.exp(-bias))
    params = recurrent.lstm.init(jax.random.key(0), 3, 4, forget_bias=float(bias), dtype=jnp.float64)
    params = params._replace(
        input_kernel=jnp.zeros_like(params.input_kernel), recurrent_kernel=jnp.zeros_like(params.recurrent_kernel)
    )
    lengths = np.array([num_steps, 20, 0])
    is_token = jnp.arange(num_steps)[None] >= num_steps - lengths[:, None]
    inputs = jnp.ones((3, num_steps, 3), jnp.float64)
    _, gradient = gradient_flow(
        recurrent.lstm, params, inputs, lambda outputs, final: jnp.sum(final.memory), is_token=is_token
    )
    by_lag = np.asarray(from_end(norms(gradient).memory, is_token))
    for row, length in zip(by_lag, lengths, strict=True):
        np.testing.assert_allclose(row[:length], 2 * forget ** np.arange(length), rtol=1e-12)
        assert np.isnan(row[length:]).all()
    assert [round(float(value), 1) for value in decay(jnp.asarray(by_lag[:2])).half_life] == [half_life] * 2
    np.testing.assert_array_equal(norms(gradient).hidden, 0)  # nothing is read off it


def test_a_simple_rnn_falls_at_least_as_fast_as_its_kernel_shrinks():
    """Pascanu et al. (2013): a norm below one decides it, whatever the inputs are."""
    params = recurrent.simple_rnn.init(jax.random.key(0), 3, 16)
    params = params._replace(recurrent_kernel=0.8 * params.recurrent_kernel)
    inputs = jax.random.normal(jax.random.key(1), (40, 3))
    _, gradient = gradient_flow(recurrent.simple_rnn, params, inputs, lambda outputs, final: jnp.sum(outputs[-1]))
    by_lag = from_end(norms(gradient).hidden)
    assert (by_lag[1:] <= 0.8 * by_lag[:-1] * (1 + 1e-5)).all()
    assert float(decay(by_lag).slope) < math.log10(0.8)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-20, 1.0, 1e30])
def test_a_norm_is_there_as_long_as_the_numbers_are(scale):
    values = np.random.default_rng(0).normal(size=(2, 5, 4)) * scale
    found = norms(recurrent.gru.State(jnp.asarray(values, jnp.float32))).hidden
    np.testing.assert_allclose(found, np.linalg.norm(values, axis=-1), rtol=1e-6)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_values_from_the_end_are_those_a_loop_finds(batch):
    numbers = np.random.default_rng(0)
    values, is_token = numbers.normal(size=(*batch, 9)).astype(np.float32), numbers.random((*batch, 9)) < 0.5
    found = np.asarray(from_end(jnp.asarray(values), jnp.asarray(is_token)))
    for index in np.ndindex(*batch):
        kept = values[index][is_token[index]][::-1]
        np.testing.assert_array_equal(found[index], np.pad(kept, (0, 9 - len(kept)), constant_values=np.nan))


def test_decay_leaves_out_what_has_no_logarithm():
    values = jnp.array([8.0, jnp.nan, 2.0, 0.0, 0.5, jnp.inf])
    assert float(decay(values).half_life) == pytest.approx(0.5 * 2, rel=1e-6)
    assert np.isnan(decay(jnp.array([1.0, 0.0]))).all()


def test_decay_does_not_depend_on_how_precise_the_values_are():
    values = 0.5 ** (jnp.arange(400.0) / 50)
    assert float(decay(values.astype(jnp.bfloat16)).half_life) == pytest.approx(50, rel=1e-3)


def test_inputs_may_be_made_a_segment_at_a_time_and_a_prefix_is_refused():
    table = jax.random.normal(jax.random.key(0), (5, 3))
    tokens = jnp.array([[1, 2, 3, 4], [4, 3, 2, 1]])
    params = recurrent.gru.init(jax.random.key(1), 3, 4)
    total = lambda outputs, final: jnp.sum(outputs[:, -1])  # noqa: E731
    _, whole = gradient_flow(recurrent.gru, params, table[tokens], total)
    _, made = gradient_flow(
        recurrent.gru, params, tokens, total, make_inputs=lambda tokens: table[tokens], segment_size=3
    )
    np.testing.assert_allclose(made.hidden, whole.hidden, rtol=1e-5)
    prefix = recurrent.Prefix(jnp.zeros(3), jnp.array([1, 1]))
    with pytest.raises(ValueError, match="write the prefix into the inputs"):
        gradient_flow(recurrent.gru, params, table[tokens], total, prefix=prefix)
