"""LSTM: the equations in numbers, gate by gate, and the memory's straight way back."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recurrent import lstm, scan_cell, step
from tests import reference


def of_bias(bias) -> lstm.Params:
    """One unit that hears neither its input nor itself."""
    return lstm.Params(jnp.zeros((1, 4)), jnp.zeros((1, 4)), jnp.array(bias))


def test_step_in_numbers():
    params = of_bias([math.log(3), 0.0, math.atanh(0.5), -math.log(3)])  # i = 3/4, f = 1/2, g = 1/2, o = 1/4
    state, output = step(lstm, params, lstm.State(jnp.array([0.3]), jnp.array([0.8])), jnp.zeros(1))
    assert state.memory[0] == pytest.approx(0.5 * 0.8 + 0.75 * 0.5)
    assert output[0] == pytest.approx(0.25 * math.tanh(0.775))
    assert state.hidden[0] == output[0]


def test_gates_stand_in_the_order_they_are_named():
    assert lstm.GATES == ("input", "forget", "candidate", "output")


def test_an_open_forget_gate_and_a_shut_input_gate_keep_the_memory():
    params = of_bias([-200.0, 200.0, 1.0, 0.0])
    initial = lstm.State(jnp.zeros(1), jnp.array([0.7]))
    _, final = scan_cell(lstm, params, jnp.zeros((300, 1)), initial=initial)
    assert final.memory[0] == initial.memory[0]


def test_going_back_along_the_memory_multiplies_by_the_forget_gate_alone():
    problem = reference.to_library(lstm, reference.draw("lstm"))

    def next_memory(memory):
        state = problem.initial._replace(memory=memory)
        return step(lstm, problem.params, state, problem.inputs[0])[0].memory

    gates = lstm.project(problem.params, problem.inputs[0]) + lstm.recur(problem.params, problem.initial)
    forget = jax.nn.sigmoid(jnp.split(gates, 4)[1])
    reference.check(jax.jacobian(next_memory)(problem.initial.memory), np.diag(forget), 1e-6)


def test_init_draws_keras_defaults():
    params = lstm.init(jax.random.key(0), input_size=6, hidden_size=2)
    assert [array.shape for array in params] == [(6, 8), (2, 8), (8,)]
    np.testing.assert_array_equal(params.bias, [0, 0, 1, 1, 0, 0, 0, 0])


def test_forget_bias_is_an_option():
    params = lstm.init(jax.random.key(0), input_size=6, hidden_size=2, forget_bias=3.0)
    np.testing.assert_array_equal(params.bias, [0, 0, 3, 3, 0, 0, 0, 0])
