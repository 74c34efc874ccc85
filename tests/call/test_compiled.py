"""Calls outside `jit`: those of one shape compile once, and never answer with what an earlier call had."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.cells.wrapped import Wrapped
from tests import reference

PARAMS = recurrent.lstm.init(jax.random.key(0), 3, 4)
X = jax.random.normal(jax.random.key(1), (2, 5, 3))
TOKENS = jnp.array([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]])
MASK = jnp.array([[True] * 5, [True, True, False, False, False]])
TABLE = jax.random.normal(jax.random.key(2), (10, 3))


class Scaled(Wrapped):
    """A user's cell: new at each call."""

    def update(self, params, state, projected, recurrent):
        state, output = self.cell.update(params, state, projected, recurrent)
        return state, output * 2.0


CALLS = {
    "scan_cell": lambda: recurrent.scan_cell(recurrent.lstm, PARAMS, X[0]),
    "run": lambda: recurrent.run(recurrent.lstm, PARAMS, X),
    "masked": lambda: recurrent.run(recurrent.lstm, PARAMS, X, is_token=MASK),
    "plain": lambda: recurrent.run(recurrent.lstm, PARAMS, X, backend="plain"),
    "run_final": lambda: recurrent.run_final(recurrent.lstm, PARAMS, TOKENS, make_inputs=lambda tokens: TABLE[tokens]),
    "run_packed": lambda: recurrent.run_packed(recurrent.lstm, PARAMS, X, recurrent.pack([5, 4], 5)),
    "trace": lambda: recurrent.inspect.trace(recurrent.lstm, PARAMS, X),
    "own cell": lambda: recurrent.run(Scaled(recurrent.lstm), PARAMS, X),
    "gradient": lambda: jax.grad(lambda params: recurrent.run(recurrent.lstm, params, X)[0].sum())(PARAMS),
}


@pytest.fixture
def num_compiled():
    """Counts compilations."""
    count = [0]

    def note(event, seconds, **_):
        count[0] += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(note)
    yield lambda: count[0]
    jax.monitoring.unregister_event_duration_listener(note)


@pytest.mark.parametrize("name", CALLS)
def test_calls_of_one_shape_compile_once(name, num_compiled):
    for _ in range(2):
        CALLS[name]()
    before = num_compiled()
    for _ in range(3):
        CALLS[name]()
    assert num_compiled() == before


def test_another_table_in_the_same_lambda_gives_other_outputs():
    for table in (TABLE, TABLE[::-1], TABLE * 3):
        actual = recurrent.run(recurrent.lstm, PARAMS, TOKENS, make_inputs=lambda tokens: table[tokens])[0]  # noqa: B023
        np.testing.assert_array_equal(actual, recurrent.run(recurrent.lstm, PARAMS, table[TOKENS])[0])


def test_a_cell_that_was_changed_is_computed_as_it_is_now():
    class Louder:
        """A cell with an attribute that anybody may set."""

        factor = 1.0
        shift = np.zeros(4, np.float32)

        def __getattr__(self, name):
            return getattr(recurrent.lstm, name)

        def update(self, params, state, projected, recurrent_):
            state, output = recurrent.lstm.update(params, state, projected, recurrent_)
            return state, output * self.factor + self.shift

    cell = Louder()
    expected = recurrent.run(recurrent.lstm, PARAMS, X)[0]
    for cell.factor, cell.shift in ((1.0, np.zeros(4, np.float32)), (2.0, np.ones(4, np.float32))):
        actual = recurrent.run(cell, PARAMS, X)[0]
        reference.check(actual, expected * cell.factor + cell.shift[0], 1e-6)
    cell.shift += 1  # in its place
    reference.check(recurrent.run(cell, PARAMS, X)[0], expected * 2 + 2, 1e-6)


@dataclass(frozen=True)
class Leaky(Wrapped):
    """A cell with a number in it that may be traced."""

    rate: jax.Array

    def update(self, params, state, projected, recurrent):
        after, _ = self.cell.update(params, state, projected, recurrent)
        hidden = self.rate * state.hidden + (1 - self.rate) * after.hidden
        return after._replace(hidden=hidden), hidden


@pytest.mark.parametrize("transform", ["grad", "vmap", "grad of jit", "scan"])
def test_a_cell_may_hold_traced_numbers(transform):
    params = recurrent.gru.init(jax.random.key(0), 3, 4)

    def loss(rate, backend="auto"):
        return jnp.sum(recurrent.run(Leaky(recurrent.gru, rate), params, X, backend=backend)[0] ** 2)

    rates = jnp.array([0.1, 0.7])
    ways = {
        "grad": lambda loss: jax.jit(jax.grad(loss))(rates[0]),
        "vmap": lambda loss: jax.vmap(loss)(rates),
        "grad of jit": lambda loss: jax.grad(jax.jit(loss))(rates[0]),
        "scan": lambda loss: jax.lax.scan(lambda carry, rate: (carry, loss(rate)), 0, rates)[1],
    }
    expected = ways[transform](lambda rate: loss(rate, "plain"))
    reference.check(ways[transform](loss), expected, 1e-6)
    if transform == "grad":
        step = 1e-2
        slope = (loss(rates[0] + step) - loss(rates[0] - step)) / (2 * step)
        assert float(expected) == pytest.approx(float(slope), rel=1e-2)


def scale_within_jit(factor):
    def scale(inputs):
        return inputs * factor.reshape((1,) * (inputs.ndim - 1) + (3,))

    return lambda inputs: jax.jit(scale)(inputs)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_arrays_within_an_inner_jit_tell_functions_apart(kind):
    for factor in (kind([0.1, 0.2, 0.3]), kind([0.9, 0.8, 0.7])):
        factor = factor.astype(np.float32)
        actual = recurrent.run(recurrent.lstm, PARAMS, X, make_inputs=scale_within_jit(factor))[0]
        reference.check(actual, recurrent.run(recurrent.lstm, PARAMS, X * factor.reshape(1, 1, 3))[0], 1e-6)


def reversing(rate):
    """The identity, whose gradient is reversed and scaled (Ganin & Lempitsky 2015)."""

    @jax.custom_vjp
    def reverse(x):
        return x

    reverse.defvjp(lambda x: (x, None), lambda _, gradient: (-rate * gradient,))
    return reverse


def pushing(rate):
    """The same, by a rule for forward mode."""

    @jax.custom_jvp
    def push(x):
        return x

    push.defjvp(lambda primals, tangents: (primals[0], -rate * tangents[0]))
    return push


@pytest.mark.parametrize("take", [lambda function: function, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("rule", [reversing, pushing])
def test_rules_of_derivatives_tell_functions_apart(rule, take):
    def gradient(make_inputs):
        return take(jax.grad(lambda x: recurrent.run(recurrent.lstm, PARAMS, x, make_inputs=make_inputs)[0].sum()))(X)

    plain = gradient(lambda inputs: inputs)
    for rate in (1.0, 5.0):
        reference.check(gradient(rule(rate)), -rate * plain, 1e-6)


class Held:
    """A cell that computes with what it holds in an inner jit; anybody may set it."""

    def __init__(self, held):
        self.held = held

    def __getattr__(self, name):
        return getattr(recurrent.lstm, name)

    def update(self, params, state, projected, recurrent_):
        state, output = recurrent.lstm.update(params, state, projected, recurrent_)
        return state, jax.jit(lambda output: output * self.factor())(output)

    def factor(self):
        return jax.random.uniform(self.held, (4,)) if self.held.ndim == 0 else self.held[:4, 0]


def test_what_a_cell_holds_tells_calls_apart(num_compiled):
    expected = recurrent.run(recurrent.lstm, PARAMS, X)[0]
    cell = Held(None)
    with jax.debug_key_reuse(False):
        for cell.held in (jnp.full((4, 1), 2.0), jnp.full((200, 200), 3.0), jax.random.key(0), jax.random.key(1)):
            actual = recurrent.run(cell, PARAMS, X)[0]
            reference.check(actual, expected * cell.factor().reshape(1, 1, 4), 1e-6)
            before = num_compiled()
            recurrent.run(cell, PARAMS, X)
            assert num_compiled() == before


def test_a_callback_is_called_for_what_it_closes_over_now():
    for table in (TABLE, TABLE * 2):

        def look_up(tokens, table=table):
            shape = jax.ShapeDtypeStruct((*tokens.shape, 3), jnp.float32)
            return jax.pure_callback(lambda tokens: np.asarray(table)[tokens], shape, tokens, vmap_method="sequential")

        actual = recurrent.run(recurrent.lstm, PARAMS, TOKENS, make_inputs=look_up)[0]
        reference.check(actual, recurrent.run(recurrent.lstm, PARAMS, table[TOKENS])[0], 1e-6)


def test_gradients_without_jit_are_those_of_the_plain_backend():
    def gradient(backend):
        return jax.grad(lambda x: recurrent.run(recurrent.lstm, PARAMS, x, backend=backend)[0].sum())(X)

    expected = gradient("fused")
    with jax.disable_jit():
        reference.check(gradient("auto"), expected, 1e-6)
