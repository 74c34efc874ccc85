"""The GRU as first published: the equations in numbers, and where it parts from `gru`."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recurrent import gru, gru_reset_before, step
from tests import reference


def test_step_in_numbers():
    # One unit that hears itself in its candidate alone: z = 1/4, r = 3/4.
    params = gru_reset_before.Params(
        jnp.zeros((1, 3)), jnp.array([[0.0, 0.0, 2.0]]), jnp.array([-math.log(3), math.log(3), 0.5])
    )
    state, output = step(gru_reset_before, params, gru_reset_before.State(jnp.array([0.6])), jnp.zeros(1))
    assert output[0] == pytest.approx(0.25 * 0.6 + 0.75 * math.tanh(0.5 + 2 * 0.75 * 0.6))
    assert state.hidden[0] == output[0]


@pytest.mark.parametrize("reset_logit, is_same", [(200.0, True), (0.0, False)], ids=["open reset", "half-open reset"])
def test_equals_gru_only_where_nothing_is_reset(reset_logit, is_same):
    params, inputs, initial, *_ = reference.to_library(gru_reset_before, reference.draw("gru_reset_before"))
    bias = params.bias.at[reference.HIDDEN : 2 * reference.HIDDEN].set(reset_logit)
    _, before = step(gru_reset_before, params._replace(bias=bias), initial, inputs[0])
    both_rows = jnp.stack([bias, jnp.zeros_like(bias)])
    after_params = gru.Params(params.input_kernel, params.recurrent_kernel, both_rows)
    _, after = step(gru, after_params, gru.State(initial.hidden), inputs[0])
    assert (reference.relative_error(before, after) < 1e-6) == is_same


def test_init_draws_what_gru_draws_with_one_row_of_bias():
    one, other = (cell.init(jax.random.key(0), 6, 4) for cell in (gru_reset_before, gru))
    reference.check_bitwise(one[:2], other[:2])
    np.testing.assert_array_equal(one.bias, np.zeros(12, np.float32), strict=True)
