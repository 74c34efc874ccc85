"""Transformations from outside: grad, vmap, scan and export over what a user's functions close over."""

import copy
import pickle
from typing import Any, NamedTuple

import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import recurrent
from recurrent import regularize
from tests import reference

CELL = recurrent.lstm
PARAMS = CELL.init(jax.random.key(0), 3, 4)
X = jax.random.normal(jax.random.key(1), (4, 6, 3))
TOKENS = jax.random.randint(jax.random.key(2), (4, 6), 0, 10)
TABLE = jax.random.normal(jax.random.key(3), (10, 3))
ORDERS = jnp.stack([jnp.arange(10), jnp.arange(10)[::-1]])
KEYS = jax.random.split(jax.random.key(5), 2)
MASK = jnp.arange(6)[None] < jnp.array([[2], [3], [6], [0]])


def outputs_of(table, order, key, backend):
    """An embedding that closes over floats, integers and a key."""

    def embed(token):
        is_kept = jax.random.bernoulli(key, 0.5, (3,)).reshape((1,) * token.ndim + (3,))
        return table[order[token]] * is_kept.astype(jnp.float32)

    return recurrent.run(CELL, PARAMS, TOKENS, make_inputs=embed, is_token=MASK, backend=backend)[0]


WAYS = {
    "jit of grad": lambda f: jax.jit(lambda o, k: jax.grad(lambda t: jnp.sum(f(t, o, k) ** 2))(TABLE))(
        ORDERS[1], KEYS[0]
    ),
    "grad of jit": lambda f: jax.grad(lambda t: jnp.sum(jax.jit(f)(t, ORDERS[1], KEYS[0]) ** 2))(TABLE),
    "grad of vmap": lambda f: jax.grad(lambda t: jnp.sum(jax.vmap(lambda o, k: f(t, o, k))(ORDERS, KEYS) ** 2))(TABLE),
    "grad of scan": lambda f: jax.grad(
        lambda t: jnp.sum(jax.lax.scan(lambda c, each: (c, f(t, *each)), 0, (ORDERS, KEYS))[1] ** 2)
    )(TABLE),
}


@pytest.mark.parametrize("way", WAYS)
def test_make_inputs_may_close_over_traced_integers_keys_and_tables(way):
    with jax.debug_key_reuse(False):  # the two backends are to draw the same
        actual = WAYS[way](lambda *arguments: outputs_of(*arguments, "auto"))
        reference.check(actual, WAYS[way](lambda *arguments: outputs_of(*arguments, "plain")), 1e-6)
    assert np.any(actual)


class CountingState(NamedTuple):
    hidden: Any
    count: Any


class Counting:
    """A SimpleRNN whose state counts steps, in integers."""

    def init(self, key, input_size, hidden_size):
        raise NotImplementedError

    def zero_state(self, params):
        return CountingState(jnp.zeros(4), jnp.zeros((), jnp.int32))

    def project(self, params, x):
        return x @ params.input_kernel + params.bias

    def recur(self, params, state):
        return state.hidden @ params.recurrent_kernel

    def update(self, params, state, projected, recurrent_):
        hidden = jnp.tanh(projected + recurrent_ + 0.1 * state.count.astype(jnp.float32))
        return CountingState(hidden, state.count + 1), hidden


class Ordered(Counting):
    """A SimpleRNN with a permutation among its params."""

    def zero_state(self, params):
        return recurrent.simple_rnn.State(jnp.zeros(4))

    def recur(self, params, state):
        return (state.hidden @ params.recurrent_kernel)[params.order]

    def update(self, params, state, projected, recurrent_):
        hidden = jnp.tanh(projected + recurrent_)
        return recurrent.simple_rnn.State(hidden), hidden


class OrderedParams(NamedTuple):
    input_kernel: Any
    recurrent_kernel: Any
    bias: Any
    order: Any


BASE = recurrent.simple_rnn.init(jax.random.key(0), 3, 4)


@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
@pytest.mark.parametrize(
    "cell, params", [(Counting(), BASE), (Ordered(), OrderedParams(*BASE, jnp.array([1, 0, 3, 2])))]
)
def test_states_and_params_may_hold_integers(cell, params, mask):
    def loss(bias):
        return jnp.sum(recurrent.run(cell, params._replace(bias=bias), X, is_token=mask)[0] ** 2)

    step = 1e-2 * jnp.array([1.0, -1.0, 0.5, 2.0])
    slope = (loss(params.bias + step) - loss(params.bias - step)) / 2
    assert float(jax.jit(jax.grad(loss))(params.bias) @ step) == pytest.approx(float(slope), rel=1e-2)


def penalty(params, mask, backend):
    """A gradient penalty: the gradient of its gradient is a second derivative."""

    def loss(x):
        return jnp.sum(recurrent.run(CELL, params, x, is_token=mask, backend=backend)[0] ** 2)

    return jnp.sum(jax.grad(loss)(X) ** 2)


@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
def test_second_derivatives(mask):
    actual, expected = (jax.jit(jax.grad(penalty), static_argnums=2)(PARAMS, mask, each) for each in ("fused", "plain"))
    reference.check(actual, expected, 1e-5)


@pytest.mark.parametrize("backend", ["fused", "auto"])
def test_the_derivative_of_a_scan_that_was_differentiated_in_another_argument(backend):
    """JAX gives the backward pass other arrays than it kept, if those are arguments of the call."""

    def total(params, scale, backend):
        def once(_, x):
            final = recurrent.run_final(CELL, params, x, is_token=MASK, backend=backend)
            return None, jnp.sum(jnp.sin(scale * final.hidden))

        return jnp.sum(jax.lax.scan(once, None, jnp.stack([X, 2 * X]))[1])

    def slopes(backend):
        return jax.grad(lambda params: jax.grad(total, argnums=1)(params, 2.0, backend))(PARAMS)

    reference.check(slopes(backend), slopes("plain"), 1e-5)


def test_second_derivatives_where_a_prefix_is_shared():
    prefix = recurrent.Prefix(jnp.ones(3), jnp.array([1, 2, 6, 0]))

    def penalty(params, backend):
        def loss(x):
            return jnp.sum(recurrent.run_final(CELL, params, x, prefix=prefix, backend=backend).hidden ** 2)

        return jnp.sum(jax.grad(loss)(X) ** 2)

    actual, expected = (jax.jit(jax.grad(penalty), static_argnums=1)(PARAMS, each) for each in ("fused", "plain"))
    reference.check(actual, expected, 1e-5)


@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
def test_forward_mode_takes_the_plain_backend_by_itself(mask):
    direction = jax.tree.map(jnp.ones_like, PARAMS)

    def loss(params, backend):
        return jnp.sum(recurrent.run(CELL, params, X, is_token=mask, backend=backend)[0] ** 2)

    gradient = jax.jit(jax.grad(loss), static_argnums=1)(PARAMS, "fused")
    slope = sum(jnp.sum(leaf) for leaf in gradient)
    for take in (lambda function: function, jax.jit):
        pushed = take(lambda params: jax.jvp(lambda params: loss(params, "auto"), (params,), (direction,))[1])(PARAMS)
        assert float(pushed) == pytest.approx(float(slope), rel=1e-4)
    with pytest.raises(ValueError, match=r"'fused' cannot run this call: the call is differentiated in forward mode"):
        jax.jvp(lambda params: loss(params, "fused"), (PARAMS,), (direction,))


def test_hessians_are_forward_over_reverse():
    def loss(bias, backend):
        params = PARAMS._replace(bias=bias)
        return jnp.sum(recurrent.run(CELL, params, X, is_token=MASK, backend=backend)[0] ** 2)

    actual, expected = (jax.jit(jax.hessian(loss), static_argnums=1)(PARAMS.bias, each) for each in ("auto", "plain"))
    reference.check(actual, expected, 1e-5)


@pytest.mark.parametrize("mask", [False, True], ids=["full", "masked"])
@pytest.mark.parametrize("shape", ["b, 6, 3", "4, t, 3", "b, t, 3"])
def test_export_with_open_sizes(shape, mask):
    def outputs(x, is_token):
        return recurrent.run(CELL, PARAMS, x, is_token=is_token if mask else None)[0]

    sizes = export.symbolic_shape(shape)
    like = jax.ShapeDtypeStruct(sizes, jnp.float32), jax.ShapeDtypeStruct(sizes[:2], jnp.bool_)
    exported = export.export(jax.jit(outputs))(*like)
    reference.check(exported.call(X, MASK), outputs(X, MASK), 1e-6)


@pytest.mark.parametrize("name", sorted(recurrent.CELLS))
def test_a_zero_state_can_be_donated(name):
    cell = recurrent.CELLS[name]
    params = cell.init(jax.random.key(0), 3, 4)
    take = jax.jit(lambda state, x: recurrent.step(cell, params, state, x), donate_argnums=0)
    state, output = take(cell.zero_state(params), jnp.ones(3))
    take(state, jnp.ones(3))
    assert output.shape == (4,)


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        *(lambda thing, library=library: pickle.loads(library.dumps(thing)) for library in (pickle, cloudpickle)),
    ],
)
@pytest.mark.parametrize(
    "thing",
    [*recurrent.CELLS.values(), regularize.Zoneout(recurrent.lstm, 0.1), recurrent.Network((recurrent.gru,), (4,))],
)
def test_cells_and_descriptions_can_be_copied_and_pickled(thing, copied):
    assert copied(thing) == thing
