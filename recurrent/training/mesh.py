"""One data axis over the devices of all processes. On a CPU each core can be a device, so a program uses all cores.

A mesh may have more axes, such as `model`, over which params are split. A step is then computed by hand along the data
axis alone; along the others, XLA splits it as the params lie.
"""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from recurrent.call.arguments import integer

__all__ = [
    "AXIS",
    "check_mesh",
    "check_placed",
    "has_more_axes",
    "make_mesh",
    "num_parts",
    "place",
    "put",
    "replicate",
    "shard",
    "split_over",
]

AXIS = "data"
Tree = TypeVar("Tree")


def make_mesh(num_shards: int, devices: list[Any] | None = None) -> Mesh:
    """Returns a mesh of the largest number of devices that divides `num_shards`, the same number of each process.

    Args:
        num_shards: parts that a batch is cut into. The parts are the same on any number of devices and processes, so
            the results are the same bits.
        devices: to choose from; all devices of all processes by default.

    Raises:
        ValueError: `num_shards` is not an integer of at least 1, or the processes can't share so many.

    >>> from recurrent.training import make_mesh
    >>> make_mesh(num_shards=1).size
    1
    """
    num_shards = integer("num_shards", num_shards, 1)
    of_process: dict[int, list[Any]] = {}
    for device in devices or jax.devices():
        of_process.setdefault(device.process_index, []).append(device)
    num_processes, most = len(of_process), min(map(len, of_process.values()))
    counts = [count for count in range(1, most + 1) if num_shards % (count * num_processes) == 0]
    if not counts:
        raise ValueError(f"num_shards ({num_shards}) must be a multiple of the {num_processes} processes.")
    chosen = [device for _, own in sorted(of_process.items()) for device in own[: counts[-1]]]
    return jax.make_mesh((len(chosen),), (AXIS,), axis_types=(AxisType.Auto,), devices=chosen)


def check_mesh(mesh: Mesh) -> None:
    """Raises ValueError for a mesh that training can't use."""
    if AXIS not in mesh.axis_names:
        raise ValueError(f"The mesh has the axes {mesh.axis_names}, and none is called {AXIS!r}, which batches need.")
    if has_more_axes(mesh) and set(mesh.axis_types) != {AxisType.Auto}:
        raise ValueError(
            f"The mesh's axes must be of type Auto, not {mesh.axis_types}: "
            "jax.make_mesh(..., axis_types=(AxisType.Auto,) * 2) makes such ones."
        )


def has_more_axes(mesh: Mesh) -> bool:
    """Says whether a mesh has other axes than that of the data."""
    return len(mesh.axis_names) > 1


def num_parts(mesh: Mesh) -> int:
    """Returns into how many parts a mesh splits a batch."""
    return mesh.shape[AXIS]


def split_over(leaf: Any, mesh: Mesh) -> NamedSharding | None:
    """Returns how an array is split over a mesh of several axes; None if it is not."""
    sharding = getattr(leaf, "sharding", None)
    if not isinstance(sharding, NamedSharding) or not has_more_axes(mesh) or sharding.mesh != mesh:
        return None
    return None if sharding.is_fully_replicated else sharding


def place(tree: Tree, mesh: Mesh) -> Tree:
    """Returns a tree of arrays on the devices of a mesh: those split over its other axes stay so, others are whole."""
    if not has_more_axes(mesh):
        return replicate(tree, mesh)
    return jax.tree.map(lambda leaf: replicate(leaf, mesh) if split_over(leaf, mesh) is None else leaf, tree)


def check_placed(tree: Any, mesh: Mesh) -> None:
    """Raises ValueError for an array that is split over the axis of the data; names it."""
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        sharding = split_over(leaf, mesh)
        names = () if sharding is None else jax.tree.leaves(tuple(sharding.spec))
        if sharding is not None and AXIS in names:
            name = jax.tree_util.keystr(keys).removeprefix(".")
            raise ValueError(f"{name} is split over the axis {AXIS!r}, and only batches can be: {sharding.spec}.")


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Returns a tree of arrays with each array on every device of the mesh.

    Where the mesh spans several processes, all of them must pass the same arrays.

    >>> import jax.numpy as jnp
    >>> from recurrent.training import make_mesh, replicate
    >>> replicate({"weight": jnp.ones(3)}, make_mesh(num_shards=1))["weight"].sharding.is_fully_replicated
    True
    """
    return put(tree, NamedSharding(mesh, PartitionSpec()))


def shard(tree: Tree, mesh: Mesh, axis: int) -> Tree:
    """Returns a tree of arrays with each array split over the devices of the mesh, along one axis."""
    return put(tree, NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS)))


def put(tree: Tree, sharding: Sharding) -> Tree:
    """Returns a tree of arrays with each array on the devices of a sharding; each process puts its own part there."""
    # To put arrays where they lie already takes JAX as long as a short call takes to compute.
    if all(getattr(leaf, "sharding", None) == sharding and leaf.committed for leaf in jax.tree.leaves(tree)):
        return tree
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda leaf: _put_part(leaf, sharding), tree)


def _put_part(leaf: Any, sharding: Sharding) -> jax.Array:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_put_part(jax.random.key_data(leaf), sharding), impl=jax.random.key_impl(leaf))
    array = np.asarray(leaf)
    array = array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index], dtype=array.dtype)
