"""The examples of some steps on the devices: each device holds the rows of its own shards, and no others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

from recurrent.training.mesh import AXIS, num_parts

__all__ = ["Chunk", "chunk_size", "in_jax_dtypes", "is_split", "own_shards"]

_CHUNK_BYTES = 16 << 20
_MAX_CHUNK = 32


@dataclass(frozen=True)
class Chunk:
    """How the rows of some steps lie on the devices: shard by shard, each shard step by step."""

    size: int  # steps
    num_shards: int
    rows: int  # of a shard in a step
    mesh: Mesh

    @property
    def own(self) -> list[int]:
        """The shards of this process."""
        this, axis = jax.process_index(), self.mesh.axis_names.index(AXIS)
        parts = np.moveaxis(self.mesh.devices, axis, 0).reshape(num_parts(self.mesh), -1)
        owners = [{device.process_index for device in part} for part in parts]
        return own_shards(self.num_shards, [this if this in each else min(each) for each in owners], this)

    def places(self) -> Int[np.ndarray, "steps shards rows"]:
        """Returns where each row lies among the rows of its device."""
        shard = np.arange(self.num_shards) % (self.num_shards // num_parts(self.mesh))
        step = np.arange(self.size)[:, None, None]
        place = (shard[:, None] * self.size + step) * self.rows + np.arange(self.rows)
        return place.astype(np.int32)

    def put(self, examples: Any) -> Any:
        """Puts the rows of this process's shards, `[shards * steps * rows, ...]`, on its devices."""
        by_row = NamedSharding(self.mesh, PartitionSpec(AXIS))
        return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(by_row, leaf), in_jax_dtypes(examples))


def in_jax_dtypes(examples: Any) -> Any:
    """Returns NumPy's arrays in the dtypes that JAX gives them."""
    return jax.tree.map(lambda leaf: leaf.astype(jax.dtypes.canonicalize_dtype(leaf.dtype), copy=False), examples)


def own_shards(num_shards: int, processes: Sequence[int], process: int) -> list[int]:
    """Returns the shards whose device belongs to a process.

    Args:
        num_shards: of a batch, a multiple of the number of devices.
        processes: the process of each device, in the mesh's order.
        process: the one that asks.

    >>> own_shards(num_shards=4, processes=[0, 1], process=1)
    [2, 3]
    """
    per_device = num_shards // len(processes)
    return [shard for shard in range(num_shards) if processes[shard // per_device] == process]


def chunk_size(batch_bytes: int) -> int:
    """Returns for how many steps batches are put on the devices at once."""
    return max(1, min(_MAX_CHUNK, _CHUNK_BYTES // max(1, batch_bytes)))


def is_split(examples: Any) -> bool:
    """Says whether examples are split over devices along their rows, as `Chunk.put` puts them."""
    shardings = [getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(examples)]
    return any(isinstance(each, NamedSharding) and AXIS in each.spec[:1] for each in shardings)
