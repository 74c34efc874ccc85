"""Norms of one step's Jacobian, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.inspect import jacobian_norms, trace
from tests.inspect.test_flow import Linear, orthogonal

MASK = jnp.array([False, True, True, False, True])


@pytest.mark.parametrize("rho", [0.5, 2.0])
def test_a_linear_recurrence_has_its_kernels_norm(rho, float64):
    params, inputs = jnp.asarray(rho * orthogonal(6)), jnp.ones((5, 6), jnp.float64)
    np.testing.assert_allclose(jacobian_norms(Linear(), params, inputs), rho, rtol=1e-12)
    held = jacobian_norms(Linear(), params, inputs, is_token=MASK)
    np.testing.assert_allclose(held, np.where(MASK, rho, 1), rtol=1e-12)


def test_a_simple_rnn_has_its_squashed_kernels(float64):
    params = recurrent.simple_rnn.init(jax.random.key(0), 3, 5, dtype=jnp.float64)
    inputs = jax.random.normal(jax.random.key(1), (2, 7, 3), jnp.float64)
    outputs, _ = recurrent.run(recurrent.simple_rnn, params, inputs)
    expected = np.linalg.norm(
        np.asarray(params.recurrent_kernel) * (1 - np.asarray(outputs)[..., None, :] ** 2), ord=2, axis=(-2, -1)
    )
    np.testing.assert_allclose(jacobian_norms(recurrent.simple_rnn, params, inputs), expected, rtol=1e-10)


def test_an_lstm_without_recurrent_weights_has_its_forget_gates(float64):
    """Then only c goes on: into c' by f, and into h' by f o (1 - tanh(c')^2)."""
    params = recurrent.lstm.init(jax.random.key(0), 3, 1, dtype=jnp.float64)
    params = params._replace(recurrent_kernel=jnp.zeros_like(params.recurrent_kernel))
    inputs = jax.random.normal(jax.random.key(1), (7, 3), jnp.float64)
    gates, memory = (part := trace(recurrent.lstm, params, inputs)).gates, part.states.memory
    read = gates.output * (1 - jnp.tanh(memory) ** 2)
    expected = (gates.forget * jnp.sqrt(1 + read**2))[:, 0]
    np.testing.assert_allclose(jacobian_norms(recurrent.lstm, params, inputs), expected, rtol=1e-10)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_start_owes_nothing_to_the_step_before(reverse, float64):
    params, inputs = jnp.asarray(0.5 * orthogonal(6)), jnp.ones((2, 5, 6), jnp.float64)
    is_start = jnp.array([[True, False, True, False, False]] * 2)
    found = jacobian_norms(Linear(), params, inputs, is_start=is_start, reverse=reverse)
    expected = [0.5, 0, 0.5, 0.5, 0.5] if reverse else [0, 0.5, 0, 0.5, 0.5]
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-12)


def test_noise_is_refused():
    params = recurrent.gru.init(jax.random.key(0), 3, 4)
    with pytest.raises(ValueError, match="recurrent_mask"):
        jacobian_norms(recurrent.gru, params, jnp.ones((5, 3)), recurrent_mask=jnp.ones((1, 4)))
