"""Sigmoid and tanh against NumPy's float64: relative accuracy over the whole range, in value and in derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.cells.gates import open_gates, sigmoid
from tests import reference

ULP = 2.0**-23
X = np.concatenate([np.linspace(-87, 87, 20_001), np.geomspace(1e-30, 1, 2_001), -np.geomspace(1e-30, 1, 2_001)])
X = X.astype(np.float32)
E = np.exp(-np.abs(X.astype(np.float64)))
SIGMOID = np.where(X >= 0, 1, E) / (1 + E)
SIGMOID_SLOPE = E / (1 + E) ** 2
TANH_SLOPE = 4 * E**2 / (1 + E**2) ** 2


def check(actual, expected, ulps):
    is_normal = expected > 1e-37  # the processor rounds to zero what is not much smaller
    error = np.abs(np.asarray(actual, np.float64) - expected)[is_normal] / expected[is_normal]
    assert error.max() < ulps * ULP


def value_and_slope(function, x):
    return jax.jit(lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),)))(x)


def of_block(x):
    """A sigmoid and a tanh, side by side."""
    return jnp.concatenate(open_gates(jnp.concatenate([x, x]), is_sigmoid=(True, False)))


def test_sigmoid_is_accurate_over_the_whole_range():
    value, slope = value_and_slope(sigmoid, X)
    check(value, SIGMOID, 3)
    check(jax.jit(sigmoid)(X), SIGMOID, 3)
    check(slope, SIGMOID_SLOPE, 5)


def test_a_block_of_gates_is_as_accurate():
    value, slope = (np.split(np.asarray(part), 2) for part in value_and_slope(of_block, X))
    check(value[0], SIGMOID, 3)
    check(slope[0], SIGMOID_SLOPE, 5)
    check(np.abs(value[1]), np.abs(np.tanh(X.astype(np.float64))), 5)
    check(slope[1], TANH_SLOPE, 5)


def test_infinities_and_nan_pass_through():
    x = jnp.array([-jnp.inf, jnp.inf, jnp.nan])
    value, slope = value_and_slope(of_block, x)
    np.testing.assert_array_equal(value, [0, 1, np.nan, -1, 1, np.nan])
    np.testing.assert_array_equal(slope, [0, 0, np.nan, 0, 0, np.nan])


@pytest.mark.usefixtures("float64")
def test_float64_and_second_derivatives():
    x = jnp.linspace(-30.0, 30.0, 101)
    s, t = np.asarray(reference.sigmoid(np.asarray(x))), np.tanh(x)
    second = jax.vmap(jax.grad(jax.grad(sigmoid)))(x)
    np.testing.assert_allclose(second, s * (1 - s) * (1 - 2 * s), rtol=1e-9, atol=1e-15)
    of_tanh = jax.vmap(jax.grad(jax.grad(lambda x: open_gates(jnp.stack([x, x]), (True, False))[1][0])))(x)
    np.testing.assert_allclose(of_tanh, -2 * t * (1 - t**2), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("backend", ["fused", "plain"])
@pytest.mark.parametrize("chrono_steps", [1_000, 1_000_000])
def test_an_lstm_for_long_memories_keeps_its_digits(backend, chrono_steps):
    """Its input gates are nearly closed and its forget gates nearly open."""
    params = recurrent.lstm.init(jax.random.key(0), 3, 8, chrono_steps=chrono_steps)
    inputs = np.random.default_rng(0).normal(size=(1, 200, 3)).astype(np.float32)

    def total(params):
        return recurrent.run_final(recurrent.lstm, params, inputs, backend=backend).memory

    exact = tuple(np.asarray(leaf, np.float64) for leaf in params)
    state = (np.zeros(8), np.zeros(8))
    for x in inputs[0].astype(np.float64):
        state = reference.lstm(exact, state, x)
    np.testing.assert_allclose(jax.jit(total)(params)[0], state[1], rtol=2e-5)
