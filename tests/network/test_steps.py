"""Step by step with resets, as an agent goes, is the replay through `run(is_start=...)`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.network import Network, init, run_network, step_batch, step_network, zero_batch, zero_states
from tests import reference

BATCH, TIME, INPUT, HIDDEN = 3, 6, 3, 4
INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, TIME, INPUT)), jnp.float32)
IS_START = np.array([[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1], [0, 1, 1, 0, 0, 0]], bool)
STACK = Network((recurrent.gru, recurrent.lstm), (HIDDEN, HIDDEN), is_residual=True)


@pytest.mark.parametrize("name", recurrent.CELLS)
def test_steps_with_resets_are_the_replay(name):
    cell = recurrent.CELLS[name]
    params = cell.init(jax.random.key(0), INPUT, HIDDEN)
    initial = jax.tree.map(jnp.ones_like, zero_batch(cell, params, (BATCH,)))
    expected = jax.jit(partial(recurrent.run, cell, is_start=IS_START, backend="plain"))(
        params, INPUTS, initial=initial
    )
    advance = jax.jit(partial(step_batch, cell))
    state, outputs = initial, []
    for t in range(TIME):
        state, output = advance(params, state, INPUTS[:, t], is_start=IS_START[:, t])
        outputs.append(output)
    reference.check((jnp.stack(outputs, 1), state), expected, 1e-6)


def test_a_single_step_is_reset_in_all_of_its_state():
    params = recurrent.lstm.init(jax.random.key(0), INPUT, HIDDEN)
    state = recurrent.lstm.State(jnp.ones(HIDDEN), jnp.ones(HIDDEN))
    zero = recurrent.lstm.zero_state(params)
    for is_start, start in ((True, zero), (np.bool_(False), state), (jnp.array(True), zero)):
        actual = recurrent.step(recurrent.lstm, params, state, INPUTS[0, 0], is_start=is_start)
        reference.check_bitwise(actual, recurrent.step(recurrent.lstm, params, start, INPUTS[0, 0]))
    for refused in (np.ones(HIDDEN, bool), 1.0):
        with pytest.raises(ValueError, match="is_start must be one bool"):
            recurrent.step(recurrent.lstm, params, state, INPUTS[0, 0], is_start=refused)


def test_steps_of_a_network_with_resets_are_the_replay():
    params = init(jax.random.key(0), STACK, INPUT)
    initial = jax.tree.map(jnp.ones_like, zero_states(STACK, params, (BATCH,)))
    expected = jax.jit(partial(run_network, STACK, is_start=IS_START))(params, INPUTS, initial=initial)
    advance = jax.jit(partial(step_network, STACK))
    states, outputs = initial, []
    for t in range(TIME):
        states, output = advance(params, states, INPUTS[:, t], is_start=IS_START[:, t])
        outputs.append(output)
    reference.check((jnp.stack(outputs, 1), states), expected, 1e-6)


def test_what_is_no_truth_value_an_example_is_refused():
    params = init(jax.random.key(0), STACK, INPUT)
    states = zero_states(STACK, params, (BATCH,))
    for is_start in (jnp.ones(BATCH), jnp.ones((BATCH, 1), bool)):
        with pytest.raises(ValueError, match=r"is_start must be bool\[3\], not"):
            step_network(STACK, params, states, INPUTS[:, 0], is_start=is_start)
