"""Predictions for a whole data set, in chunks of a fixed size: they too are the same on any number of devices."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from recurrent.training.mesh import AXIS, replicate

__all__ = ["make_predict"]


def make_predict(
    forward: Callable[[Any, Any], Array], mesh: Mesh, chunk_size: int = 128
) -> Callable[[Any, Any], np.ndarray]:
    """Compiles `forward` (params, inputs of a batch) -> outputs of a batch, and returns it for any number of rows."""
    by_chunk = PartitionSpec(AXIS)

    def local_chunks(params: Any, chunks: Any) -> Array:
        return jax.lax.map(lambda chunk: forward(params, chunk), chunks)

    sharded = jax.shard_map(
        local_chunks, mesh=mesh, in_specs=(PartitionSpec(), by_chunk), out_specs=by_chunk, check_vma=False
    )
    compiled = jax.jit(sharded)

    def predict(params: Any, inputs: Any) -> np.ndarray:
        num_rows = len(jax.tree.leaves(inputs)[0])
        # A single text should not pay for a whole chunk; powers of two, so that few sizes are ever compiled.
        rows = min(chunk_size, 1 << max(num_rows - 1, 0).bit_length())
        num_chunks = max(1, -(-num_rows // (rows * mesh.size))) * mesh.size

        def chunk(leaf: Array) -> np.ndarray:
            filled = np.zeros((num_chunks * rows, *leaf.shape[1:]), leaf.dtype)
            filled[:num_rows] = leaf
            return filled.reshape(num_chunks, rows, *leaf.shape[1:])

        chunks = jax.device_put(jax.tree.map(chunk, inputs), NamedSharding(mesh, by_chunk))
        outputs = np.asarray(compiled(replicate(params, mesh), chunks))
        return outputs.reshape(num_chunks * rows, *outputs.shape[2:])[:num_rows]

    return predict
