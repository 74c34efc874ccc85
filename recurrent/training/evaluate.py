"""Predictions for a whole data set, in chunks of a fixed size, with the same bits on any number of devices.

A dispatch computes a few chunks, so that a signal is noticed between dispatches.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from recurrent.call.arguments import integer
from recurrent.training.mesh import AXIS, check_mesh, num_parts, place, shard
from recurrent.training.plan import count_rows
from recurrent.training.processes import of_mesh
from recurrent.training.signals import Stopped
from recurrent.training.streams import fixed_draws

__all__ = ["make_predict"]

CHUNKS_PER_DISPATCH = 8  # on each device


def make_predict(
    forward: Callable[[Any, Any], Array],
    mesh: Mesh,
    chunk_size: int = 128,
    should_stop: Callable[[], Any] = lambda: False,
) -> Callable[[Any, Any], np.ndarray]:
    """Returns a compiled function that predicts any number of rows.

    Args:
        forward: (params, inputs of a batch) -> outputs `[batch, ...]`.
        mesh: the devices, as for `make_train_steps`.
        chunk_size: rows that a device computes at a time, at least 1.
        should_stop: asked between dispatches; when it returns true in any process, `Stopped` is raised in all.

    Returns:
        (params, inputs) -> outputs `[rows, ...]` in NumPy; `inputs` is a tree of arrays `[rows, ...]`, or of objects
        with a shape, a dtype and slices, whose rows are asked for one dispatch at a time. With several processes, all
        of them pass the same and get the same.

    Raises:
        ValueError: `chunk_size` is not an integer of at least 1. On prediction: the inputs' arrays differ in length, or
            slices of them have fewer rows than they should; or `forward` does not return an array with a row for each.

    >>> import jax.numpy as jnp, numpy as np
    >>> from recurrent.training import make_mesh, make_predict
    >>> predict = make_predict(lambda slope, x: slope * x, make_mesh(num_shards=1), chunk_size=2)
    >>> predict(jnp.float32(10), np.arange(3, dtype=np.float32)).tolist()
    [0.0, 10.0, 20.0]
    """
    check_mesh(mesh)
    chunk_size, by_chunk = integer("chunk_size", chunk_size, 1), PartitionSpec(AXIS)

    def local_chunks(params: Any, chunks: Any) -> Array:
        return jax.lax.map(lambda chunk: _checked(forward(params, chunk), chunk), chunks)

    sharded = jax.shard_map(
        local_chunks,
        mesh=mesh,
        in_specs=(PartitionSpec(), by_chunk),
        out_specs=by_chunk,
        axis_names={AXIS},
        check_vma=False,
    )
    compiled = jax.jit(sharded, in_shardings=(None, NamedSharding(mesh, by_chunk)))
    # A compiled function puts NumPy arrays on devices faster than `device_put`, but refuses them in several processes.
    split = partial(shard, mesh=mesh, axis=0) if jax.process_count() > 1 else lambda chunks: chunks

    def predict(params: Any, inputs: Any) -> np.ndarray:
        num_rows = count_rows("inputs", inputs)
        inputs = jax.tree.map(lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, inputs)
        # A single row should not cost a whole chunk. Powers of two, so that few sizes are compiled.
        rows = min(chunk_size, 1 << max(num_rows - 1, 0).bit_length())
        # At least one round, and the same number in each dispatch, so that one program serves all.
        num_rounds = max(1, -(-num_rows // (rows * num_parts(mesh))))
        num_dispatches = -(-num_rounds // CHUNKS_PER_DISPATCH)
        chunks = -(-num_rounds // num_dispatches) * num_parts(mesh)
        placed, processes, outputs = place(params, mesh), of_mesh(mesh), []
        for number in range(num_dispatches):
            if processes.decide(bool(should_stop()), None)[0]:
                raise Stopped
            cut = jax.tree.map(partial(_cut, num_rows, number * chunks * rows, (chunks, rows)), inputs)
            with fixed_draws():
                outputs.append(_whole(compiled(placed, split(cut))))
        whole = np.concatenate(outputs)
        return whole.reshape(-1, *whole.shape[2:])[:num_rows]

    return predict


def _checked(outputs: Any, chunk: Any) -> Array:
    """Returns the outputs of a chunk, if they are an array with one row for each of its rows."""
    num_rows = count_rows("inputs", chunk)
    shape = getattr(outputs, "shape", None)
    if shape is None or shape[:1] != (num_rows,):
        found = type(outputs).__name__ if shape is None else f"one of the shape {list(shape)}"
        raise ValueError(f"forward must return an array [batch, ...], here [{num_rows}, ...], not {found}.")
    return outputs


def _whole(output: Array) -> np.ndarray:
    """Returns an output of which each process has computed a part. It is gathered by a program of its own: gathering in
    the one that computes could change how that is compiled.
    """
    if output.is_fully_addressable:
        return np.asarray(output)
    return np.asarray(multihost_utils.process_allgather(output, tiled=True))


def _cut(num_rows: int, start: int, shape: tuple[int, int], leaf: Any) -> np.ndarray:
    """Returns the chunks of a dispatch, filled up with their last row, or with zeros if there are no rows.

    Only these rows are asked for, so a leaf may read them from a file.
    """
    first, end = max(0, min(start, num_rows - 1)), min(start + math.prod(shape), num_rows)
    found = np.asarray(leaf[first:end])
    if len(found) != end - first:
        raise ValueError(f"inputs[{first}:{end}] has {len(found)} rows, not {end - first}, though its shape says so.")
    found = found.astype(found.dtype.newbyteorder("="), copy=False)
    if missing := math.prod(shape) - len(found):
        filling = found[-1:] if len(found) else np.zeros((1, *found.shape[1:]), found.dtype)
        found = np.concatenate([found, np.repeat(filling, missing, axis=0)])
    return found.reshape(*shape, *found.shape[1:])
