"""SimpleRNN: the equation in numbers, and the gradient that vanishes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recurrent import simple_rnn, step
from tests import reference


def test_step_in_numbers():
    params = simple_rnn.Params(
        input_kernel=jnp.array([[2.0]]), recurrent_kernel=jnp.array([[-3.0]]), bias=jnp.array([0.5])
    )
    state, output = step(simple_rnn, params, simple_rnn.State(jnp.array([0.25])), jnp.array([0.125]))
    assert output[0] == pytest.approx(math.tanh(2 * 0.125 + 0.5 - 3 * 0.25))
    assert state.hidden[0] == output[0]


def test_going_back_one_step_multiplies_by_the_kernel_and_the_slope():
    problem = reference.to_library(simple_rnn, reference.draw("simple_rnn"))
    x = problem.inputs[0]
    jacobian = jax.jacobian(lambda state: step(simple_rnn, problem.params, state, x)[1])(problem.initial).hidden
    _, hidden = step(simple_rnn, problem.params, problem.initial, x)
    reference.check(jacobian, np.diag(1 - hidden**2) @ problem.params.recurrent_kernel.T, 1e-6)


def test_init_draws_keras_defaults():
    params = simple_rnn.init(jax.random.key(0), input_size=6, hidden_size=4)
    assert [array.shape for array in params] == [(6, 4), (4, 4), (4,)]
    np.testing.assert_array_equal(params.bias, 0)
