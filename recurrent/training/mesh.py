"""One data axis over the local devices. On a CPU each core can be a device, so the same program uses all cores."""

from typing import Any, TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from recurrent.call.arguments import integer

__all__ = ["AXIS", "make_mesh", "replicate", "shard"]

AXIS = "data"
Tree = TypeVar("Tree")


def make_mesh(num_shards: int, devices: list[Any] | None = None) -> Mesh:
    """Returns a mesh of the largest number of devices that divides `num_shards`.

    Args:
        num_shards: parts that a batch is cut into. The parts are the same on any number of devices, so the results are
            the same bits.
        devices: to choose from; all local devices by default.

    Raises:
        ValueError: `num_shards` is not an integer of at least 1.

    >>> from recurrent.training import make_mesh
    >>> make_mesh(num_shards=1).size
    1
    """
    num_shards, devices = integer("num_shards", num_shards, 1), devices or jax.local_devices()
    count = max(count for count in range(1, len(devices) + 1) if num_shards % count == 0)
    return jax.make_mesh((count,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices[:count])


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Returns a tree of arrays with each array on every device of the mesh.

    >>> import jax.numpy as jnp
    >>> from recurrent.training import make_mesh, replicate
    >>> replicate({"weight": jnp.ones(3)}, make_mesh(num_shards=1))["weight"].sharding.is_fully_replicated
    True
    """
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def shard(tree: Tree, mesh: Mesh, axis: int) -> Tree:
    """Returns a tree of arrays with each array split over the devices of the mesh, along one axis."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS)))
