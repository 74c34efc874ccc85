"""One data axis over the local devices; on a CPU each core can be a device, so the same program fills all of them."""

from typing import Any, TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from recurrent.training.arguments import integer

__all__ = ["AXIS", "make_mesh", "replicate", "shard"]

AXIS = "data"
Tree = TypeVar("Tree")


def make_mesh(num_shards: int, devices: list[Any] | None = None) -> Mesh:
    """Makes a mesh of as many devices as divide `num_shards`, so that each device computes whole shards.

    Args:
        num_shards: into how many parts a batch is cut. They are the same parts on any number of devices, which is what
            makes the results bitwise the same.
        devices: to choose from; all local devices by default.

    Raises:
        ValueError: `num_shards` is no integer of at least 1.
    """
    num_shards, devices = integer("num_shards", num_shards, 1), devices or jax.local_devices()
    count = max(count for count in range(1, len(devices) + 1) if num_shards % count == 0)
    return jax.make_mesh((count,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices[:count])


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Puts every array of a tree on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def shard(tree: Tree, mesh: Mesh, axis: int) -> Tree:
    """Spreads every array of a tree over the devices of the mesh, along one of its axes."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS)))
