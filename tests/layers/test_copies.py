"""Copies and pickles of networks and layers: target networks, checkpoints of other tools, worker processes."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import recurrent
from recurrent import network
from recurrent.layers import linen as linen_layers
from recurrent.layers import nnx as nnx_layers
from recurrent.regularize import Zoneout
from tests import reference
from tests.layers.own_cells import Own

INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3)), jnp.float32)
STACK = network.Network((recurrent.gru, recurrent.lstm), (4, 4), dropout_rate=0.5)
COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}
every_copy = pytest.mark.parametrize("how", [*COPIES, "cloudpickle"])


def copied(how, thing):
    if how == "cloudpickle":
        cloudpickle = pytest.importorskip("cloudpickle")
        return pickle.loads(cloudpickle.dumps(thing))
    return COPIES[how](thing)


@every_copy
def test_descriptions_are_equal_to_their_copies(how):
    for described in (STACK, network.Network((Zoneout(recurrent.lstm, 0.1),), (4,)), network.Directions(1)):
        assert copied(how, described) == described
        assert hash(copied(how, described)) == hash(described)


LAYERS = {
    "cell": lambda: nnx_layers.Recurrent(recurrent.lstm, 3, 4, rngs=nnx.Rngs(0)),
    "own cell": lambda: nnx_layers.Recurrent(Own("dataclass"), 3, 4, rngs=nnx.Rngs(0)),
    "network": lambda: nnx_layers.Network(network.Network((recurrent.gru,), (4,), True), 3, rngs=nnx.Rngs(0)),
    "outputs": lambda: nnx_layers.Outputs(nnx_layers.Recurrent(recurrent.gru, 3, 4, rngs=nnx.Rngs(0))),
}


@every_copy
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_nnx_layers_are_copied_with_their_params(how, make):
    layer = make()
    other = copied(how, layer)
    reference.check_bitwise(other(INPUTS), layer(INPUTS))
    assert nnx.graphdef(other) == nnx.graphdef(layer)
    if how != "copy":
        before = layer(INPUTS)
        nnx.update(other, jax.tree.map(jnp.zeros_like, nnx.state(other)))
        reference.check_bitwise(layer(INPUTS), before)


@every_copy
def test_a_layer_with_noise_is_copied_with_its_stream(how):
    layer = nnx_layers.Network(network.Network((recurrent.gru,) * 2, (4, 4), dropout_rate=0.5), 3, rngs=nnx.Rngs(0))
    other = copied(how, layer)
    if how != "copy":
        with jax.debug_key_reuse(False):
            reference.check_bitwise(other(INPUTS), layer(INPUTS))


@every_copy
@pytest.mark.parametrize(
    "layer",
    [linen_layers.Recurrent(recurrent.lstm, 4), linen_layers.Outputs(linen_layers.Network(STACK))],
    ids=["cell", "network"],
)
def test_linen_layers_are_equal_to_their_copies(how, layer):
    assert copied(how, layer) == layer
    variables = jax.jit(layer.init)(jax.random.key(0), INPUTS)
    reference.check_bitwise(copied(how, layer).init(jax.random.key(0), INPUTS), variables)
