"""On meshes as JAX makes them today: inside `shard_map` with its checks, and with Explicit axes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import recurrent
from tests import reference

pytestmark = pytest.mark.devices(2)

CELL = recurrent.lstm
PARAMS = CELL.init(jax.random.key(0), 3, 4)
X = jax.random.normal(jax.random.key(1), (4, 6, 3))
MASK = np.arange(6)[None] < np.array([[6], [4], [0], [1]])
ZERO = jax.tree.map(lambda leaf: np.zeros((4, *leaf.shape), np.float32), CELL.zero_state(PARAMS))
NETWORK = recurrent.Network((CELL, CELL), (4, 4), is_bidirectional=True)
PACKING = recurrent.pack([6, 2, 4, 5, 1], 6, num_rows=4)

CALLS = {
    "run": lambda params, x, mask, zero, backend: recurrent.run(CELL, params, x, backend=backend),
    "masked": lambda params, x, mask, zero, backend: recurrent.run(CELL, params, x, is_token=mask, backend=backend),
    "initial": lambda params, x, mask, zero, backend: recurrent.run(
        CELL, params, x, is_token=mask, initial=zero, backend=backend
    ),
    "starts": lambda params, x, mask, zero, backend: recurrent.run(
        CELL, params, x, is_start=mask, reverse=True, segment_size=4, truncate_every=2, backend=backend
    ),
    "prefix": lambda params, x, mask, zero, backend: recurrent.run_final(
        CELL, params, x, prefix=recurrent.Prefix(jnp.ones(3), jnp.sum(mask, axis=1)), backend=backend
    ),
    "scan_cell": lambda params, x, mask, zero, backend: recurrent.scan_cell(CELL, params, x[0], is_token=mask[0]),
}
MADE = {
    "made": lambda params, x, mask, zero, backend: recurrent.run(
        CELL,
        params,
        x,
        is_token=mask,
        make_inputs=lambda x: jnp.where(x > 0, 2 * x @ params.input_kernel[:, :3], x),
        backend=backend,
    ),
    "looked up": lambda params, x, mask, zero, backend: recurrent.run_final(
        CELL, params, jnp.argmax(x, axis=-1), make_inputs=lambda at: params.input_kernel[:, :3][at], backend=backend
    ),
}
ON_EXPLICIT_AXES = {name: call for name, call in CALLS.items() if name != "scan_cell"} | {
    "network": lambda params, x, mask, zero, backend: recurrent.run_network(
        NETWORK, recurrent.network.init(jax.random.key(3), NETWORK, 3), x, is_token=mask, backend=backend
    ),
    "packed": lambda params, x, mask, zero, backend: recurrent.run_packed(CELL, params, x, PACKING, backend=backend),
}


def value_and_gradient(call, backend):
    def total(params, x, mask, zero):
        result = call(params, x, mask, zero, backend)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(result)), result

    return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)


@pytest.mark.parametrize("backend", ["auto", "fused", "plain"])
@pytest.mark.parametrize("name", CALLS | MADE)
def test_inside_shard_map_with_its_checks(name, backend):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
    call = value_and_gradient((CALLS | MADE)[name], backend)

    def of_shard(params, x, mask, zero):
        (loss, _), (d_params, d_x) = call(params, x, mask, zero)
        return jax.lax.psum(loss, "data"), d_params, d_x  # JAX adds up the gradient of what all shards share

    batch = P("data")
    sharded = jax.shard_map(of_shard, mesh=mesh, in_specs=(P(), batch, batch, batch), out_specs=(P(), P(), batch))
    halves = [
        call(PARAMS, *jax.tree.map(lambda leaf, start=start: leaf[start : start + 2], (X, MASK, ZERO)))
        for start in (0, 2)
    ]
    expected = (
        halves[0][0][0] + halves[1][0][0],
        jax.tree.map(jnp.add, halves[0][1][0], halves[1][1][0]),
        jnp.concatenate([halves[0][1][1], halves[1][1][1]]),
    )
    reference.check(jax.jit(sharded)(PARAMS, X, MASK, ZERO), expected, 1e-6)


@pytest.mark.parametrize("backend", ["auto", "plain"])
@pytest.mark.parametrize("name", ON_EXPLICIT_AXES)
def test_on_a_mesh_with_explicit_axes(name, backend):
    call = value_and_gradient(ON_EXPLICIT_AXES[name], backend)
    expected = jax.jit(call)(PARAMS, X, MASK, ZERO)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        on_rows, everywhere = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
        arrays = (jax.device_put(PARAMS, everywhere), *jax.device_put((X, MASK, ZERO), on_rows))
        actual = jax.jit(call)(*arrays)
        assert jax.typeof(actual[1][1]).sharding.spec[0] == "data"
    reference.check(jax.device_get(actual), jax.device_get(expected), 1e-6)


def test_outputs_are_sharded_as_the_batch_is():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(X, NamedSharding(mesh, P("data")))
        outputs, final = recurrent.run(CELL, PARAMS, x)
        assert jax.typeof(outputs).sharding.spec[0] == "data"
        assert jax.typeof(final.memory).sharding.spec[0] == "data"


def test_packed_rows_that_are_split_are_not_computed_whole_by_each_device():
    """XLA does not split a call of C++, so that each device would get all rows."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    generator = np.random.default_rng(0)
    initial = CELL.State(*(generator.normal(size=(5, 4)).astype(np.float32) for _ in range(2)))
    options = {"initial": initial, "recurrent_mask": np.ones((5, 1, 4), np.float32) / 2, "reverse": True}

    def call(x, backend):
        return recurrent.run_packed(CELL, PARAMS, x, PACKING, backend=backend, **options)

    expected = jax.jit(call, static_argnums=1)(X, "plain")
    with jax.set_mesh(mesh):
        x = jax.device_put(X, NamedSharding(mesh, P("data")))
        compiled = jax.jit(call, static_argnums=1).lower(x, "auto").compile()
        assert "recurrent_forward" not in compiled.as_text()
        actual = compiled(x)
        assert jax.typeof(actual[0]).sharding.spec[0] == "data"
        with pytest.raises(ValueError, match="'native' cannot run this call"):
            call(x, "native")
    reference.check(jax.device_get(actual), jax.device_get(expected), 1e-6)
