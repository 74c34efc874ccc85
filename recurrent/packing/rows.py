"""Values moved into the rows of a packing, and back to their sequences."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree, Shaped

from recurrent.packing.plan import AnyArray, Packing

__all__ = ["first_columns", "look_up", "pack_inputs", "unpack_outputs"]


def pack_inputs(
    packing: Packing, values: PyTree[Shaped[Array, "sequences max_time ..."]]
) -> PyTree[Shaped[Array, "rows time ..."]]:
    """Moves values ``[sequences, max_time, ...]``, or a tree of them, into rows; zero where there is no step.

    Values after a sequence's end are ignored.

    Raises:
        ValueError: the number of sequences differs, or max_time is less than the longest sequence.

    >>> import numpy as np, recurrent
    >>> from recurrent.packing import pack_inputs
    >>> packing = recurrent.pack([2, 3], row_length=6)
    >>> print(pack_inputs(packing, np.array([[1, 2, 0], [3, 4, 5]])))
    [[3 4 5 1 2 0]]
    """
    for leaf in jax.tree.leaves(values):
        if leaf.ndim < 2 or leaf.shape[0] != len(packing.length):
            raise ValueError(
                f"values must be [sequences, max_time, ...] of {len(packing.length)} sequences, not {leaf.shape}."
            )
        _check_max_time(packing, leaf.shape[1])
    return jax.tree.map(lambda leaf: look_up(leaf, packing.is_token, packing.sequence, packing.position), values)


def unpack_outputs(
    packing: Packing, outputs: PyTree[Shaped[Array, "rows time ..."]], max_time: int
) -> PyTree[Shaped[Array, "sequences max_time ..."]]:
    """Moves outputs ``[rows, time, ...]`` back to ``[sequences, max_time, ...]``; zero after each sequence's end.

    Raises:
        ValueError: the outputs are not laid out as the packing, or max_time is less than the longest sequence.

    >>> import numpy as np, recurrent
    >>> from recurrent.packing import unpack_outputs
    >>> packing = recurrent.pack([2, 3], row_length=6)
    >>> print(unpack_outputs(packing, np.array([[3, 4, 5, 1, 2, 0]]), max_time=4))
    [[1 2 0 0]
     [3 4 5 0]]
    """
    for leaf in jax.tree.leaves(outputs):
        if leaf.shape[:2] != packing.is_token.shape:
            raise ValueError(f"outputs must be [rows, time, ...] of {packing.is_token.shape}, not {leaf.shape}.")
    _check_max_time(packing, max_time)
    step = jnp.arange(max_time, dtype=packing.length.dtype)[None]
    is_within = step < packing.length[:, None]
    column = first_columns(packing)[:, None] + step
    row = jnp.broadcast_to(packing.row[:, None], column.shape)
    return jax.tree.map(lambda leaf: look_up(leaf, is_within, row, column), outputs)


def _check_max_time(packing: Packing, max_time: int) -> None:
    if not isinstance(packing.length, np.ndarray):
        return  # lengths are unknown inside `jit`
    longest = packing.length.max(initial=0)
    if longest > max_time:
        raise ValueError(f"max_time is {max_time}, but the longest sequence has {longest} steps.")


def first_columns(packing: Packing) -> Int[AnyArray, "sequences"]:
    """Returns the column of each sequence's first step."""
    return packing.last - packing.length + 1


def look_up(table: AnyArray, is_there: AnyArray, row: AnyArray, column: AnyArray) -> Array:
    """Returns ``table[row, column]`` where `is_there` is True, and zero without a gradient elsewhere."""
    if 0 in table.shape[:2]:
        return jnp.zeros((*is_there.shape, *table.shape[2:]), table.dtype)
    nowhere = jnp.where(is_there, row, len(table))
    return jnp.asarray(table).at[nowhere, column].get(mode="fill", fill_value=0)
