"""GRU: the equations in numbers, gate by gate; both biases count, and each in its place."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recurrent import gru, scan_cell, step


def of_bias(input_bias, recurrent_bias) -> gru.Params:
    """One unit that hears neither its input nor itself."""
    return gru.Params(jnp.zeros((1, 3)), jnp.zeros((1, 3)), jnp.array([input_bias, recurrent_bias]))


def test_step_in_numbers():
    # z = 1/4 and r = 3/4, each from both rows; the candidate's recurrent bias is reset, its input bias is not.
    params = of_bias([-math.log(3) - 1, math.log(3) + 2, 0.5], [1.0, -2.0, 0.8])
    state, output = step(gru, params, gru.State(jnp.array([0.6])), jnp.zeros(1))
    assert output[0] == pytest.approx(0.25 * 0.6 + 0.75 * math.tanh(0.5 + 0.75 * 0.8))
    assert state.hidden[0] == output[0]


def test_gates_stand_in_the_order_they_are_named():
    assert gru.GATES == ("update", "reset", "candidate")


def test_an_update_gate_of_one_hands_the_state_on_untouched():
    initial = gru.State(jnp.array([0.7]))
    _, final = scan_cell(gru, of_bias([200.0, 0.0, 1.0], [0.0, 0.0, 0.0]), jnp.zeros((300, 1)), initial=initial)
    assert final.hidden[0] == initial.hidden[0]


def test_init_draws_keras_defaults():
    params = gru.init(jax.random.key(0), input_size=6, hidden_size=4)
    assert [array.shape for array in params] == [(6, 12), (4, 12), (2, 12)]
    np.testing.assert_array_equal(params.bias, 0)
