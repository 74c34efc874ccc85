"""The layers take what `run` and `run_network` take, and hand it on."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import recurrent
from recurrent import network
from recurrent.layers import linen as linen_layers
from recurrent.layers import nnx as nnx_layers
from recurrent.network import Directions
from recurrent.packing import pack, pack_inputs
from tests import reference

BATCH, TIME = 3, 5
draws = np.random.default_rng(0)
INPUTS = jnp.asarray(draws.normal(size=(BATCH, TIME, 3)), jnp.float32)
TABLE = jnp.asarray(draws.normal(size=(6, 3)), jnp.float32)
TOKENS = jnp.asarray(draws.integers(0, 6, (BATCH, TIME)))
IS_TOKEN = np.arange(TIME) < np.array([[4], [TIME], [0]])
IS_START = draws.random((BATCH, TIME)) < 0.4
MASK = jnp.asarray(draws.random((BATCH, 1, 4)), jnp.float32)
PACKING = pack([2, 5, 3], row_length=6)
STACK = network.Network((recurrent.gru, recurrent.lstm), (4, 4), is_residual=True)
KINDS = [(kind, described) for kind in ("nnx", "linen") for described in (recurrent.lstm, STACK)]
every_layer = pytest.mark.parametrize(
    "kind, described", KINDS, ids=[f"{kind} {'network' if described is STACK else 'cell'}" for kind, described in KINDS]
)


def make(kind, described):
    """Returns a layer and its params."""
    is_network = described is STACK
    rngs, own = nnx.Rngs(0), {"segment_size": 3}
    if is_network:
        layer = nnx_layers.Network(described, 3, rngs=rngs, **own)
    else:
        layer = nnx_layers.Recurrent(described, 3, 4, rngs=rngs, **own)
    params = layer.cell_params()
    if kind == "linen":
        unbound = linen_layers.Network(described, **own) if is_network else linen_layers.Recurrent(described, 4, **own)
        layer = unbound.bind(unbound.make_variables(params))
    return layer, params


def functions(described):
    """Returns what the call, `final` and `packed` of a layer stand for."""
    if described is STACK:
        return [
            partial(function, described, segment_size=3)
            for function in (network.run_network, network.run_network_final, network.run_packed_network)
        ]
    return [
        partial(function, described, segment_size=3)
        for function in (recurrent.run, recurrent.run_final, recurrent.run_packed)
    ]


@every_layer
def test_a_layer_takes_what_its_function_takes(kind, described):
    layer, params = make(kind, described)
    run, run_final, run_packed = functions(described)
    is_network = described is STACK
    mask = (Directions(MASK), None) if is_network else MASK
    zero = layer.zero_state((2,))
    table = jax.tree.map(lambda leaf: leaf + 1, zero)
    index = jnp.asarray(draws.integers(0, 2, (BATCH, TIME)))
    prefix = recurrent.Prefix(TOKENS[0, 0], jnp.array([2, 0, 5]))
    for inputs, options in (
        (INPUTS, {"is_token": IS_TOKEN, "is_start": IS_START, "reset_to": table, "reset_index": index}),
        (INPUTS, {"recurrent_mask": mask, "truncate_every": 2, "initial": layer.zero_state((BATCH,))}),
        (TOKENS, {"make_inputs": TABLE.__getitem__, "prefix": prefix}),
    ):
        expected = run(params, inputs, **options)
        reference.check_bitwise(layer(inputs, **options), expected)
        reference.check(layer.final(inputs, **options), run_final(params, inputs, **options), 1e-6)
    packed, initial = pack_inputs(PACKING, INPUTS), layer.zero_state((3,))
    reference.check_bitwise(
        layer.packed(packed, PACKING, initial=initial, recurrent_mask=mask),
        run_packed(params, packed, PACKING, initial=initial, recurrent_mask=mask),
    )


@every_layer
def test_steps_with_resets_are_the_replay(kind, described):
    layer, _ = make(kind, described)
    initial = jax.tree.map(lambda leaf: leaf + 1, layer.zero_state((BATCH,)))
    expected = layer(INPUTS, initial=initial, is_start=IS_START)
    state, outputs = initial, []
    for t in range(TIME):
        state, output = layer.step(state, INPUTS[:, t], is_start=IS_START[:, t])
        outputs.append(output)
    reference.check((jnp.stack(outputs, 1), state), expected, 1e-6)


@every_layer
def test_what_is_no_option_is_refused_by_name(kind, described):
    layer, _ = make(kind, described)
    name = "Network" if described is STACK else "Recurrent"
    for call, method, option in ((layer, name, "is_tokens"), (layer.final, "final", "reverse")):
        with pytest.raises(TypeError, match=rf"{method}\(\) got an unexpected keyword argument '{option}'"):
            call(INPUTS, **{option: IS_TOKEN})


def test_linen_reads_the_input_size_off_what_a_cell_is_given():
    """An embedding, or the first array of several."""
    layer = linen_layers.Recurrent(recurrent.lstm, 4)
    variables = jax.jit(partial(layer.init, make_inputs=TABLE.__getitem__))(jax.random.key(0), TOKENS)
    assert variables["params"]["input_kernel"].shape == (3, 16)
    cell = recurrent.regularize.Zoneout(recurrent.lstm, 0.1)
    inputs = recurrent.regularize.zoneout_inputs(jax.random.key(1), cell, INPUTS, jnp.arange(BATCH), 4)
    variables = jax.jit(linen_layers.Recurrent(cell, 4).init)(jax.random.key(0), inputs)
    assert variables["params"]["input_kernel"].shape == (3, 16)


@every_layer
@pytest.mark.parametrize("wrap", [np.ndarray.tolist, lambda array: array.astype(np.float64)], ids=["lists", "64 bits"])
def test_lists_and_64_bits_are_taken_without_a_warning(kind, described, wrap):
    """Warnings are errors here."""
    layer, _ = make(kind, described)
    inputs, state = np.asarray(INPUTS), layer.zero_state((BATCH,))
    reference.check_bitwise(layer(wrap(inputs), is_token=IS_TOKEN.tolist()), layer(INPUTS, is_token=IS_TOKEN))
    starts = IS_START[:, 0]
    actual = layer.step(state, wrap(inputs[:, 0]), is_start=starts.tolist())
    reference.check_bitwise(actual, layer.step(state, INPUTS[:, 0], is_start=starts))
