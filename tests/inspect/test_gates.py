"""Saturation and time constants by hand, and that looking changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.inspect import gradient_flow, half_lives, jacobian_norms, saturation, time_constants, trace

MASK = jnp.array([[True, True, False], [True, False, False]])


def test_saturation_counts_steps_with_a_token():
    gate = jnp.array([[[0.05, 0.95], [0.5, 0.5], [0.0, 0.0]], [[0.95, 0.05], [1.0, 1.0], [1.0, 1.0]]])
    found = saturation(gate, MASK)
    np.testing.assert_allclose(found.shut, [1 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(found.open, [1 / 3, 1 / 3], rtol=1e-6)
    everywhere = saturation(gate, low=0.01, high=0.99)
    np.testing.assert_allclose(everywhere.shut, [1 / 6, 1 / 6], rtol=1e-6)
    np.testing.assert_allclose(everywhere.open, [2 / 6, 2 / 6], rtol=1e-6)


@pytest.mark.parametrize("bias, half_life", [(0, 1.0), (1, 2.2), (5, 103.2)])
def test_a_constant_gate_has_the_half_life_of_its_bias(bias, half_life, float64):
    gate = jnp.full((2, 3, 4), 1 / (1 + np.exp(-bias)))
    assert np.round(half_lives(gate, MASK), 1).tolist() == [half_life] * 4
    np.testing.assert_allclose(np.exp(-1 / time_constants(gate)), gate[0, 0], rtol=1e-12)


def test_a_gate_that_is_fully_open_keeps_for_ever():
    gate = jnp.array([[1.0, 0.5], [1.0, 0.5]])
    assert half_lives(gate).tolist() == [np.inf, 1.0]


def test_a_time_constant_is_that_of_the_product_of_gates(float64):
    gate = jax.random.uniform(jax.random.key(0), (50, 3), jnp.float64, 0.1, 1.0)
    np.testing.assert_allclose(np.exp(-50 / time_constants(gate)), np.prod(gate, axis=0), rtol=1e-10)


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
def test_looking_changes_nothing_in_the_compiled_program(name):
    cell = recurrent.CELLS[name]
    params, inputs = cell.init(jax.random.key(0), 3, 4), jnp.ones((2, 5, 3))

    def program():
        def loss(params):
            return jnp.sum(recurrent.run(cell, params, inputs)[0])

        return jax.jit(jax.value_and_grad(loss)).lower(params).as_text()

    before = program()
    trace(cell, params, inputs)
    gradient_flow(cell, params, inputs, lambda outputs, final: jnp.sum(outputs))
    jacobian_norms(cell, params, inputs)
    assert program() == before


def zeros(key, shape, dtype):
    """Draws nothing: an orthogonal matrix of this size takes seconds."""
    return jnp.zeros(shape, dtype)


@pytest.mark.parametrize("name", ["lstm", "layer_norm_lstm"])
def test_chrono_biases_spread_memories_over_the_lags(name):
    params = recurrent.CELLS[name].init(jax.random.key(0), 3, 2000, chrono_steps=400, recurrent_initializer=zeros)
    i, f, g, o = jnp.split(params.bias, 4)
    np.testing.assert_array_equal(i, -f)
    assert not g.any()
    assert not o.any()
    steps = np.sort(np.exp(f))
    np.testing.assert_allclose(steps, np.linspace(1, 399, 2000), atol=20)  # uniform on [1, T - 1]


@pytest.mark.parametrize("name", ["gru", "layer_norm_gru"])
def test_chrono_biases_of_a_gru_are_its_update_gates(name):
    params = recurrent.CELLS[name].init(jax.random.key(0), 3, 2000, chrono_steps=400, recurrent_initializer=zeros)
    np.testing.assert_allclose(np.sort(np.exp(params.bias[0, :2000])), np.linspace(1, 399, 2000), atol=20)
    assert not params.bias[0, 2000:].any()
    assert not params.bias[1].any()
    with pytest.raises(ValueError, match="at least 3, not 2"):
        recurrent.gru.init(jax.random.key(0), 3, 4, chrono_steps=2)
