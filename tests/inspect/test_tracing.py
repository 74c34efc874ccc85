"""Every gate, state and candidate, against NumPy loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.inspect import trace
from recurrent.regularize import Zoneout, ZoneoutInputs
from tests import reference

MASK = np.array([False, True, True, False, True, True, False])
GATES = {  # what the reference's equations hand out before the next state
    "simple_rnn": lambda params, state, x: reference.simple_rnn(params, state, x),
    "lstm": lambda params, state, x: reference._lstm(params, state, x)[:4],
    "gru": lambda params, state, x: reference._gru(params, state, x)[:3],
    "gru_reset_before": lambda params, state, x: reference._gru_reset_before(params, state, x)[:3],
}


def loop(name, problem, is_token):
    """Gates and states of all steps; steps without a token repeat what was."""
    state = tuple(np.zeros_like(part) for part in problem.initial)
    gates = tuple(np.zeros_like(state[0]) for _ in range(reference.CELLS[name].num_gates))
    rows = []
    for x, counts in zip(problem.inputs, is_token, strict=True):
        if counts:
            gates = GATES[name](problem.params, state, x)
            state = reference.CELLS[name].step(problem.params, state, x)
        rows.append((*gates, *state))
    return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("is_token", [np.ones(7, bool), MASK], ids=["all", "masked"])
@pytest.mark.parametrize("name", reference.CELLS)
def test_trace_equals_the_loop(name, is_token, float64):
    cell = recurrent.CELLS[name]
    problem = reference.draw(name, batch=(2,))
    ours = reference.to_library(cell, problem, np.float64)
    arguments = {} if is_token.all() else {"is_token": jnp.stack([is_token, is_token])}
    seen = trace(cell, ours.params, ours.inputs, **arguments)
    assert seen.gates._fields == cell.GATES
    for row in range(2):
        expected = loop(name, problem.row((row,)), is_token)
        actual = jax.tree.map(lambda leaf, row=row: leaf[row], (seen.gates, seen.states))
        reference.check(actual, jax.tree.unflatten(jax.tree.structure(actual), expected), 1e-10)
    np.testing.assert_array_equal(seen.outputs, seen.states.hidden)


@pytest.mark.parametrize("name", recurrent.CELLS)
def test_gates_are_those_that_made_the_state(name, float64):
    """For cells with layer normalisation too: the last line of their equations, from what the trace says."""
    cell = recurrent.CELLS[name]
    params = cell.init(jax.random.key(0), 3, 4, dtype=jnp.float64)
    seen = trace(cell, params, jax.random.normal(jax.random.key(1), (6, 3), jnp.float64))
    before = jax.tree.map(lambda leaf: jnp.concatenate([jnp.zeros_like(leaf[:1]), leaf[:-1]]), seen.states)
    gates = seen.gates
    if "lstm" in name:
        expected = gates.forget * before.memory + gates.input * gates.candidate
        np.testing.assert_allclose(seen.states.memory, expected, rtol=1e-12)
    elif "gru" in name:
        expected = gates.update * before.hidden + (1 - gates.update) * gates.candidate
        np.testing.assert_allclose(seen.states.hidden, expected, rtol=1e-12)
    else:
        np.testing.assert_array_equal(seen.states.hidden, gates.candidate)


def test_a_cell_inside_another_shows_its_gates_and_one_without_gates_none():
    cell = Zoneout(recurrent.gru, hidden_rate=0.5)
    params = cell.init(jax.random.key(0), 3, 4)
    inputs = jnp.ones((5, 3))
    seen = trace(cell, params, ZoneoutInputs(inputs))
    first = trace(recurrent.gru, params, inputs)
    np.testing.assert_allclose(seen.gates.update[0], first.gates.update[0], rtol=1e-6)
    np.testing.assert_allclose(seen.states.hidden[0], 0.5 * first.states.hidden[0], rtol=1e-6)

    class Ungated:
        init, zero_state, project, recur, update = (
            getattr(recurrent.gru, name) for name in ("init", "zero_state", "project", "recur", "update")
        )
        init, zero_state, project, recur, update = map(staticmethod, (init, zero_state, project, recur, update))

    assert trace(Zoneout(Ungated(), hidden_rate=0.5), params, ZoneoutInputs(inputs)).gates is None
    bare = trace(Ungated(), params, inputs)
    assert bare.gates is None
    np.testing.assert_allclose(bare.states.hidden, first.states.hidden, rtol=1e-5)


def test_nothing_is_rounded_where_inputs_are():
    params = recurrent.lstm.init(jax.random.key(0), 3, 4, forget_bias=8.0)
    seen = trace(recurrent.lstm, params, jnp.ones((5, 3), jnp.bfloat16))
    assert {leaf.dtype for leaf in jax.tree.leaves(seen)} == {jnp.dtype("float32")}
    assert (seen.gates.forget < 1).all()
