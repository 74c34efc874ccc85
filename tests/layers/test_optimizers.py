"""Optimizers of every kind train the layers, step for step as Optax does with the plain params of the cell."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx
from flax.training.train_state import TrainState
from flax.traverse_util import flatten_dict, path_aware_map

import recurrent
from recurrent import network
from recurrent.layers import linen as linen_layers
from recurrent.layers import nnx as nnx_layers
from tests import reference

INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3)), jnp.float32)
STACK = network.Network((recurrent.gru, recurrent.lstm), (4, 4))
STEPS = 3


def is_kernel(tree):
    """Returns a tree of truth values: True for kernels; what a mask of Optax is."""
    return jax.tree_util.tree_map_with_path(lambda path, _: "bias" not in jax.tree_util.keystr(path), tree)


def is_recurrent(tree):
    """Returns a tree of labels, as for a model of which the recurrent kernels alone are trained (LoRA and the like)."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "trained" if "recurrent_kernel" in jax.tree_util.keystr(path) else "frozen", tree
    )


OPTIMIZERS = {
    "sgd": optax.sgd(0.05),
    "momentum": optax.sgd(0.05, momentum=0.9, nesterov=True),
    "adam": optax.adam(0.02),
    "rmsprop": optax.rmsprop(0.02),
    "adamw of kernels": optax.adamw(0.02, weight_decay=0.1, mask=is_kernel),
    "lion": optax.lion(0.01),
    "clipped": optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.02)),
    "recurrent kernels alone": optax.multi_transform(
        {"trained": optax.adam(0.02), "frozen": optax.set_to_zero()}, is_recurrent
    ),
    "reduced on a plateau": optax.chain(optax.adam(0.02), optax.contrib.reduce_on_plateau()),
    "lbfgs": optax.lbfgs(memory_size=2, linesearch=optax.scale_by_backtracking_linesearch(5)),
}
CASES = [(name, recurrent.lstm) for name in OPTIMIZERS] + [("adam", STACK), ("recurrent kernels alone", STACK)]
every_case = pytest.mark.parametrize(
    "name, described", CASES, ids=[f"{name}, {type(described).__name__}" for name, described in CASES]
)


@pytest.fixture(autouse=True)
def standard_promotion():
    """Optax mixes dtypes."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def make_nnx(described):
    if isinstance(described, network.Network):
        return nnx_layers.Network(described, 3, rngs=nnx.Rngs(0))
    return nnx_layers.Recurrent(described, 3, 4, rngs=nnx.Rngs(0))


def make_linen(described):
    if isinstance(described, network.Network):
        return linen_layers.Network(described)
    return linen_layers.Recurrent(described, 4)


def loss_of(results):
    outputs, final = results
    return (outputs**2).sum() + sum((leaf**2).sum() for leaf in jax.tree.leaves(final))


def loss_of_plain(described, params):
    run = network.run_network if isinstance(described, network.Network) else recurrent.run
    return loss_of(run(described, params, INPUTS))


# One program for all optimizers: each has a small one of its own beside it.
plain_gradient = jax.jit(jax.value_and_grad(loss_of_plain, argnums=1), static_argnums=0)
nnx_gradient = nnx.jit(nnx.value_and_grad(lambda layer: loss_of(layer(INPUTS))))


@cache
def train_plain(described, name):
    """Returns the losses before each step and the params after all, from Optax and `run` alone."""
    optimizer = optax.with_extra_args_support(OPTIMIZERS[name])
    params = make_nnx(described).cell_params()
    state = optimizer.init(params)

    @jax.jit
    def update(params, state, value, gradient):
        updates, state = optimizer.update(
            gradient, state, params, value=value, grad=gradient, value_fn=partial(loss_of_plain, described)
        )
        return optax.apply_updates(params, updates), state

    losses = []
    for _ in range(STEPS):
        value, gradient = plain_gradient(described, params)
        params, state = update(params, state, value, gradient)
        losses.append(float(value))
    return losses, params


@every_case
def test_an_nnx_layer_is_trained_as_plain_params_are(name, described):
    layer = make_nnx(described)
    expected, expected_params = train_plain(described, name)
    training = nnx.Optimizer(layer, OPTIMIZERS[name], wrt=nnx.Param)

    @nnx.jit
    def update(layer, training, value, gradient):
        description = nnx.graphdef(layer)
        training.update(
            layer,
            gradient,
            value=value,
            grad=gradient,
            value_fn=lambda params: loss_of(nnx.merge(description, params)(INPUTS)),
        )

    losses = []
    for _ in range(STEPS):
        value, gradient = nnx_gradient(layer)
        update(layer, training, value, gradient)
        losses.append(float(value))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert losses[-1] < losses[0]
    reference.check(layer.cell_params(), expected_params, 1e-4)


@pytest.mark.parametrize("name", ["adam", "recurrent kernels alone"])
@pytest.mark.parametrize("described", [recurrent.lstm, STACK], ids=["cell", "network"])
def test_a_linen_layer_is_trained_as_plain_params_are(name, described):
    layer = make_linen(described)
    expected, expected_params = train_plain(described, name)
    variables = layer.make_variables(make_nnx(described).cell_params())
    state = TrainState.create(apply_fn=layer.apply, params=variables["params"], tx=OPTIMIZERS[name])

    @jax.jit
    def step(state):
        def loss(params):
            return loss_of(state.apply_fn({"params": params}, INPUTS))

        value, gradient = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=gradient), value

    losses = []
    for _ in range(STEPS):
        state, value = step(state)
        losses.append(float(value))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    reference.check(layer.bind({"params": state.params}).cell_params(), expected_params, 1e-4)


def test_what_is_frozen_by_path_stays_as_it_was():
    layer = make_nnx(STACK)
    before = jax.tree.map(np.asarray, layer.cell_params())
    first = nnx.All(nnx.Param, lambda path, _: path[:2] == ("layers", 0))
    training = nnx.Optimizer(layer, optax.adam(0.1), wrt=first)

    @nnx.jit
    def step(layer, training):
        gradient = nnx.grad(lambda layer: loss_of(layer(INPUTS)), argnums=nnx.DiffState(0, first))(layer)
        training.update(layer, gradient)

    step(layer, training)
    after = layer.cell_params()
    reference.check_bitwise(after[1], before[1])
    for one, other in zip(jax.tree.leaves(after[0]), jax.tree.leaves(before[0]), strict=True):
        assert not np.array_equal(one, other)


def test_linen_params_are_frozen_by_path():
    class Model(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            outputs, _ = linen_layers.Recurrent(recurrent.lstm, 4, name="recurrent")(inputs)
            return nn.Dense(1)(outputs)

    model = Model()
    params = model.init(jax.random.key(0), INPUTS)["params"]
    assert ("recurrent", "recurrent_kernel") in flatten_dict(params)
    labels = path_aware_map(lambda path, _: "frozen" if path[0] == "recurrent" else "trained", params)
    optimizer = optax.multi_transform({"trained": optax.adam(0.1), "frozen": optax.set_to_zero()}, labels)
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optimizer)

    @jax.jit
    def step(state):
        gradient = jax.grad(lambda params: (model.apply({"params": params}, INPUTS) ** 2).sum())(state.params)
        return state.apply_gradients(grads=gradient)

    after = step(state).params
    reference.check_bitwise(after["recurrent"], params["recurrent"])
    assert not np.array_equal(after["Dense_0"]["kernel"], params["Dense_0"]["kernel"])
