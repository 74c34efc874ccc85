"""Rows of a `RowPlan` filled with the steps of their sequences, and their packing, which is derived where they are."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree, Shaped

from recurrent.packing.plan import AnyArray, Packing
from recurrent.packing.row_plan import RowPlan

__all__ = ["PackedRows", "Sequences", "fill_rows"]


class Sequences(NamedTuple):
    """Some sequences of a data set.

    Attributes:
        steps: a tree of arrays `[steps, ...]` with the steps of all of them, one sequence after the other.
        each: a tree of arrays `[sequences, ...]` of what a sequence has as a whole, such as its label.

    >>> import numpy as np
    >>> from recurrent.packing import Sequences
    >>> Sequences(steps=np.array([5, 6, 7, 8, 9]), each=np.array([0, 1])).steps.shape
    (5,)
    """

    steps: PyTree[Shaped[np.ndarray, "steps ..."]]
    each: PyTree[Shaped[np.ndarray, "sequences ..."]] = ()


class PackedRows(NamedTuple):
    """Rows of sequences, in NumPy's or JAX's arrays. A row is an example of training: it can be shuffled and sharded.

    A row has as many slots as the fullest row has sequences. Slots that are not used have length 0, and zeros.

    Attributes:
        steps: a tree of arrays `[rows, time, ...]`; zero where there is no step.
        each: a tree of arrays `[rows, slots, ...]` of what a sequence has as a whole.
        length: the number of steps of each sequence.
        number: its number in the data set, from which its noise derives.

    >>> import numpy as np
    >>> from recurrent.packing import Sequences, fill_rows, plan_rows
    >>> rows = fill_rows(plan_rows([2, 3], row_length=6), [0], lambda numbers: Sequences(np.arange(5)))
    >>> rows.steps, rows.length
    (array([[0, 1, 2, 3, 4, 0]]), array([[3, 2]], dtype=int32))
    """

    steps: PyTree[Shaped[AnyArray, "rows time ..."]]
    each: PyTree[Shaped[AnyArray, "rows slots ..."]]
    length: Int[AnyArray, "rows slots"]
    number: Int[AnyArray, "rows slots"]

    def packing(self) -> Packing:
        """Returns the packing of all slots, row after row, for `run_packed`; also inside `jit`."""
        (num_rows, num_slots), time = self.length.shape, jax.tree.leaves(self.steps)[0].shape[1]
        length = jnp.asarray(self.length, jnp.int32)
        ends = jnp.cumsum(length, axis=1, dtype=jnp.int32)
        column = jnp.arange(time, dtype=jnp.int32)
        slot = jax.vmap(lambda of_row: jnp.searchsorted(of_row, column, side="right"))(ends).astype(jnp.int32)
        is_token = column[None] < ends[:, -1:]
        starts = jnp.take_along_axis(ends - length, jnp.minimum(slot, num_slots - 1), axis=1)
        position = jnp.where(is_token, column[None] - starts, 0)
        row = jnp.broadcast_to(jnp.arange(num_rows, dtype=jnp.int32)[:, None], ends.shape)
        return Packing(
            is_token=is_token,
            is_start=is_token & (position == 0),
            sequence=jnp.where(is_token, row[:, :1] * num_slots + slot, -1),
            position=position,
            row=jnp.where(length > 0, row, 0).ravel(),
            last=jnp.where(length > 0, ends - 1, -1).ravel(),
            length=length.ravel(),
        )

    def weight(self, of_rows: Float[Array, "rows"]) -> Float[Array, "slots"]:
        """Returns the weight of each slot of all rows: that of its row, and 0 where it is not used."""
        return jnp.where(jnp.asarray(self.length) > 0, of_rows[:, None], jnp.zeros((), of_rows.dtype)).ravel()


def fill_rows(
    plan: RowPlan, rows: Sequence[int] | Int[np.ndarray, "rows"], read: Callable[[Int[np.ndarray, "_"]], Sequences]
) -> PackedRows:
    """Returns some rows of a plan, in NumPy.

    Args:
        plan: of `plan_rows`.
        rows: their numbers.
        read: numbers of sequences, in the order in which they lie in the rows -> the sequences.

    Raises:
        ValueError: the plan has no such row, or what was read has another number of steps than planned, or of
            sequences.

    >>> import numpy as np
    >>> from recurrent.packing import Sequences, fill_rows, plan_rows
    >>> texts = [np.array([7, 8]), np.array([4, 5, 6])]
    >>> def read(numbers):
    ...     return Sequences(np.concatenate([texts[number] for number in numbers]))
    >>> fill_rows(plan_rows([2, 3], row_length=6), [0], read).steps
    array([[4, 5, 6, 7, 8, 0]])
    """
    rows = np.asarray(rows, np.int64)
    if len(beyond := rows[(rows < 0) | (rows >= len(plan))]):
        raise ValueError(
            f"rows must be from 0 to {len(plan) - 1}, the last one of the plan, not {beyond[:5].tolist()}."
        )
    counts = plan.first[rows + 1] - plan.first[rows]
    slot = _count_up(counts)
    place = np.repeat(plan.first[rows], counts) + slot
    row = np.repeat(np.arange(len(rows)), counts)
    number, length = plan.sequence[place], plan.length[place]
    ends = np.cumsum(length, dtype=np.int64)
    before_row = np.concatenate([[0], ends])[np.cumsum(counts) - counts]  # steps of the rows before each
    column = np.arange(length.sum(dtype=np.int64)) - np.repeat(np.repeat(before_row, counts), length)
    at_step, at_slot = (np.repeat(row, length), column), (row, slot)
    found = read(number)
    steps = _laid_out("steps", found.steps, at_step, (len(rows), plan.row_length))
    shape = len(rows), plan.max_sequences
    each, lengths, numbers = _laid_out("each", (found.each, length, number), at_slot, shape)
    return PackedRows(steps, each, lengths, numbers)


def _count_up(counts: Int[np.ndarray, "rows"]) -> Int[np.ndarray, "_"]:
    """Returns 0, 1, ... up to each count."""
    ends = np.cumsum(counts)
    return np.arange(counts.sum()) - np.repeat(ends - counts, counts)


def _laid_out(what: str, tree: Any, at: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> Any:
    """Returns arrays with the given values at some places and zeros elsewhere."""

    def lay_out(leaf: Any) -> np.ndarray:
        leaf = np.asarray(leaf)
        if leaf.shape[:1] != (len(at[0]),):
            raise ValueError(f"`read` must return {what} of {len(at[0])} rows in all, not {leaf.shape}.")
        out = np.zeros((*shape, *leaf.shape[1:]), leaf.dtype)
        out[at] = leaf
        return out

    return jax.tree.map(lay_out, tree)
