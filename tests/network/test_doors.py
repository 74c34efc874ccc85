"""Networks called as users call: with lists and NumPy arrays, outside `jit`, on meshes."""

from functools import partial

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import recurrent
from recurrent.network import (
    Directions,
    Network,
    init,
    run_network,
    run_network_final,
    run_packed_network,
    step_network,
    zero_states,
)
from recurrent.packing import pack, pack_inputs
from tests import reference

BATCH, TIME, SIZE = 4, 6, 4
NETWORK = Network((recurrent.gru, recurrent.lstm), (SIZE, SIZE), is_residual=True, dropout_rate=0.5)
BOTH = Network((recurrent.gru, recurrent.lstm), (2, 2), is_residual=True, dropout_rate=0.5, is_bidirectional=True)
PARAMS, PARAMS_OF_BOTH = (init(jax.random.key(0), network, SIZE) for network in (NETWORK, BOTH))
draws = np.random.default_rng(0)
INPUTS = draws.normal(size=(BATCH, TIME, SIZE)).astype(np.float32)
IS_TOKEN = np.arange(TIME) < np.array([[6], [4], [0], [1]])
IS_START = draws.random((BATCH, TIME)) < 0.3
NUMBERS = np.array([5, 3, 8, 0])
MASK = tuple(Directions(draws.random((BATCH, 1, SIZE)).astype(np.float32)) for _ in range(2))
PACKING = pack([6, 2, 4, 5], row_length=7)
ROWS = np.asarray(pack_inputs(PACKING, INPUTS))


def everything(wrap=np.asarray):
    """Calls all doors with the same numbers, wrapped in something."""
    key = partial(jax.random.key, 3)
    masks, float_mask = {"is_token": wrap(IS_TOKEN), "is_start": wrap(IS_START)}, jax.tree.map(wrap, MASK)
    states = jax.tree.map(np.asarray, zero_states(NETWORK, PARAMS, (BATCH,)))
    prefix = recurrent.Prefix(wrap(INPUTS[0, 0]), wrap(np.array([1, 0, 2, 3])))
    return [
        run_network(NETWORK, PARAMS, wrap(INPUTS), key=key(), numbers=wrap(NUMBERS), **masks),
        run_network_final(NETWORK, PARAMS, wrap(INPUTS), prefix=prefix, recurrent_mask=float_mask),
        run_network(NETWORK, PARAMS, wrap(INPUTS), prefix=prefix, initial=states),
        run_packed_network(NETWORK, PARAMS, wrap(ROWS), PACKING, key=key(), numbers=wrap(NUMBERS)),
        step_network(NETWORK, PARAMS, states, wrap(INPUTS[:, 0]), is_start=wrap(IS_START[:, 0])),
    ]


WRAPS = {
    "lists": lambda array: array.tolist(),
    "64 bits": lambda array: array.astype({"f": np.float64, "i": np.int64, "b": bool}[array.dtype.kind]),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_lists_and_64_bits_are_taken_without_a_warning(wrap):
    """Warnings are errors here."""
    if wrap is WRAPS["lists"]:
        expected = everything()
        actual = everything(lambda array: array.tolist() if array.ndim != 3 or array.shape[1] != 1 else array)
    else:
        expected, actual = everything(), everything(wrap)
    for one, other in zip(actual, expected, strict=True):
        reference.check_bitwise(one, other)


def test_eager_calls_of_one_shape_compile_once():
    compilations = []

    def listen(name, seconds, **_):
        if name == "/jax/core/compile/backend_compile_duration":
            compilations.append(name)

    everything()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        everything()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert compilations == []


@pytest.mark.devices(2)
@pytest.mark.parametrize("network, params", [(NETWORK, PARAMS), (BOTH, PARAMS_OF_BOTH)], ids=["one", "both"])
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def test_on_a_mesh(kind, network, params):
    """Shortcuts and noise too, where the batch is split over devices."""

    def call(params, inputs, is_token, is_start, numbers):
        def loss(params, inputs):
            results = run_network(
                network,
                params,
                inputs,
                is_token=is_token,
                is_start=is_start,
                key=jax.random.key(3),
                numbers=numbers,
            )
            return sum((leaf**2).sum() for leaf in jax.tree.leaves(results)), results

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(params, inputs)

    arrays = (INPUTS, IS_TOKEN, IS_START, NUMBERS)
    expected = jax.jit(call)(params, *arrays)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(kind,))
    with jax.set_mesh(mesh):
        on_rows, everywhere = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
        actual = jax.jit(call)(jax.device_put(params, everywhere), *jax.device_put(arrays, on_rows))
    reference.check(jax.device_get(actual), jax.device_get(expected), 1e-6)


@pytest.mark.devices(2)
def test_inside_shard_map_with_its_checks():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))

    def call(params, inputs, is_token, numbers):
        return run_network(NETWORK, params, inputs, is_token=is_token, key=jax.random.key(3), numbers=numbers)

    batch = P("data")
    sharded = jax.shard_map(call, mesh=mesh, in_specs=(P(), batch, batch, batch), out_specs=batch)
    arrays = (PARAMS, INPUTS, IS_TOKEN, NUMBERS)
    reference.check(jax.jit(sharded)(*arrays), jax.jit(call)(*arrays), 1e-6)
