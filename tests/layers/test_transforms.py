"""The layers inside Flax' own transformations, and called outside `jit`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax.sharding import PartitionSpec

import recurrent
from recurrent import network
from recurrent.layers import linen as linen_layers
from recurrent.layers import nnx as nnx_layers
from tests import reference

INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4)), jnp.float32)
IS_START = jnp.asarray(np.arange(5) == np.array([[2], [3]]))
STACK = network.Network((recurrent.gru, recurrent.lstm), (4, 4), is_residual=True)


@pytest.fixture(autouse=True)
def reused_keys():
    """Flax folds counts into one key."""
    with jax.debug_key_reuse(False):
        yield


def test_an_agent_is_scanned_over_steps_by_nnx():
    layer = nnx_layers.Network(STACK, 4, rngs=nnx.Rngs(0))

    @nnx.scan(in_axes=(None, nnx.Carry, 1, 1), out_axes=(nnx.Carry, 1))
    def roll_out(layer, state, x, is_start):
        return layer.step(state, x, is_start=is_start)

    final, outputs = roll_out(layer, layer.zero_state((2,)), INPUTS, IS_START)
    reference.check((outputs, final), layer(INPUTS, is_start=IS_START), 1e-6)


def test_an_agent_is_scanned_over_steps_by_linen():
    class Agent(nn.Module):
        @nn.compact
        def __call__(self, state, at):
            x, is_start = at
            return linen_layers.Recurrent(recurrent.lstm, 4, name="memory").step(state, x, is_start=is_start)

    scanned = nn.scan(Agent, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)()
    zero = recurrent.lstm.State(jnp.zeros((2, 4)), jnp.zeros((2, 4)))
    variables = scanned.init(jax.random.key(0), zero, (INPUTS, IS_START))
    final, outputs = scanned.apply(variables, zero, (INPUTS, IS_START))
    layer = linen_layers.Recurrent(recurrent.lstm, 4)
    expected = layer.apply({"params": variables["params"]["memory"]}, INPUTS, is_start=IS_START)
    reference.check((outputs, final), expected, 1e-6)


def test_nnx_scans_over_layers_each_with_noise_of_its_own():
    described = network.Network((recurrent.gru,) * 2, (4, 4), dropout_rate=0.5)

    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def make(rngs):
        return nnx_layers.Network(described, 4, rngs=rngs)

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def forward(x, layer):
        return nnx.remat(lambda layer, x: layer(x)[0])(layer, x)

    layers = make(nnx.Rngs(0))
    expected = INPUTS
    for index in range(3):
        layer = jax.tree.map(lambda leaf, index=index: leaf[index], layers)
        expected = layer(expected)[0]
    reference.check(forward(INPUTS, layers), expected, 1e-6)
    assert not np.allclose(forward(INPUTS, layers), expected), "the streams have gone on"


def test_linen_maps_over_layers_and_names_the_new_axis():
    mapped = nn.vmap(
        nn.remat(linen_layers.Recurrent),
        in_axes=None,
        out_axes=0,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        axis_size=3,
        metadata_params={nn.PARTITION_NAME: "ensemble"},
    )(recurrent.lstm, 4, partitioning={"bias": ("model",)})
    variables = jax.jit(mapped.init)(jax.random.key(0), INPUTS)
    assert nn.get_partition_spec(variables)["params"]["bias"] == PartitionSpec("ensemble", "model")
    outputs, _ = mapped.apply(variables, INPUTS)
    for index in range(3):
        own = jax.tree.map(lambda leaf, index=index: leaf[index], nn.meta.unbox(variables))
        expected, _ = linen_layers.Recurrent(recurrent.lstm, 4).apply(own, INPUTS)
        reference.check(outputs[index], expected, 1e-6)


def test_calls_of_one_shape_compile_once():
    count = []

    def listen(name, seconds, **_):
        if name == "/jax/core/compile/backend_compile_duration":
            count.append(name)

    described = network.Network((recurrent.gru,) * 2, (4, 4), dropout_rate=0.5)
    layers = [
        nnx_layers.Recurrent(recurrent.lstm, 4, 4, rngs=nnx.Rngs(0)),
        nnx_layers.Network(described, 4, rngs=nnx.Rngs(0)),
    ]
    linen = linen_layers.Network(described)
    variables = linen.make_variables(layers[1].cell_params())

    def call():
        for layer in layers:
            layer(INPUTS, is_start=IS_START)
            layer.step(layer.zero_state((2,)), INPUTS[:, 0])
        linen.apply(variables, INPUTS, rngs={"dropout": jax.random.key(1)})

    call()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        call()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert count == []


@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_zero_state_can_be_donated(batch):
    for layer in (
        nnx_layers.Recurrent(recurrent.lstm, 4, 4, rngs=nnx.Rngs(0)),
        nnx_layers.Network(STACK, 4, rngs=nnx.Rngs(0)),
    ):
        step = jax.jit(lambda state, x, layer=layer: layer.step(state, x), donate_argnums=0)
        jax.block_until_ready(step(layer.zero_state(batch), jnp.ones((*batch, 4))))
