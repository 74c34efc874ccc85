"""Short sequences laid end to end in few rows of one length, so that no step is spent on padding.

    row 0   a a a a a b b b        position   0 1 2 3 4 0 1 2
    row 1   c c c c d d . .                   0 1 2 3 0 1 . .

The plan is made once, with NumPy, and has static shapes; values are brought into it and back by `pack_inputs` and
`unpack_outputs`. A recurrent network goes along a row and begins anew where a sequence does, so that each sequence gets
what it would get alone, and nothing, gradients neither, passes from one to the next.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PyTree, Shaped

from recurrent.arguments import as_array, as_arrays, as_params, check_recurrent_mask, fit
from recurrent.batch import run
from recurrent.cells.protocol import Cell, Params, State
from recurrent.cells.wrapped import Wrapped
from recurrent.meshes import on_auto_axes
from recurrent.steps import cast, select

__all__ = ["Packing", "pack", "pack_inputs", "run_packed", "unpack_outputs"]

AnyArray = Array | np.ndarray


class Packing(NamedTuple):
    """Which step of which sequence stands where. NumPy arrays, or JAX' inside a jitted function that it is given to.

    A sequence without steps stands nowhere: its row is 0 and its last column -1.
    """

    is_token: Bool[AnyArray, "rows time"]
    is_start: Bool[AnyArray, "rows time"]
    sequence: Int[AnyArray, "rows time"]  # the number of the sequence that the step belongs to; -1 where it is none's
    position: Int[AnyArray, "rows time"]  # the step's number within its sequence; 0 where it is none's
    row: Int[AnyArray, "sequences"]
    last: Int[AnyArray, "sequences"]  # the column of the sequence's last step
    length: Int[AnyArray, "sequences"]


def pack(
    lengths: Sequence[int] | Int[np.ndarray, "sequences"],
    row_length: int,
    num_rows: int | None = None,
    *,
    longest_first: bool = True,
) -> Packing:
    """Plans where sequences go: each into the first row that has room for it, whole and from left to right.

    Args:
        lengths: the sequences' numbers of steps; 0 is fine, so a batch may be filled up to a fixed number of sequences.
        row_length: the number of columns.
        num_rows: fills up with empty rows to this number, so that every batch has one shape and `jit` compiles once;
            by default as many as are needed, and at least one.
        longest_first: lays the longest down first, and equal ones in the order given. It takes at most 11/9 of the
            fewest rows possible, plus 6/9 (Dósa 2007), and the given order up to 17/10 of them (Dósa & Sgall 2013).
            As everything is found by a sequence's number, where it lies means nothing to the caller, so the tighter
            one is the default. With False, sequences added at the end move none of those before.

    Raises:
        ValueError: a length is negative or beyond the row's, or `num_rows` are too few.

    >>> packing = pack([4, 5, 2, 3], row_length=8)
    >>> packing.sequence
    array([[ 1,  1,  1,  1,  1,  3,  3,  3],
           [ 0,  0,  0,  0,  2,  2, -1, -1]], dtype=int32)
    >>> packing.row, packing.last
    (array([1, 0, 1, 0], dtype=int32), array([3, 4, 5, 7], dtype=int32))
    """
    length = _check_lengths(lengths, row_length)
    order = np.argsort(-length, kind="stable") if longest_first else np.arange(len(length))
    row, first = _first_fit(length, order, row_length)
    needed = int(row.max(initial=0)) + 1
    if num_rows is not None and num_rows < needed:
        raise ValueError(
            f"{len(length)} sequences need {needed} rows of length {row_length}, and num_rows is {num_rows}."
        )
    return _lay_out(row, first, length, (num_rows or needed, row_length))


def _check_lengths(lengths: Any, row_length: int) -> Int[np.ndarray, "sequences"]:
    length = np.asarray(lengths)
    if length.ndim != 1 or (length.size > 0 and not np.issubdtype(length.dtype, np.integer)):
        raise ValueError(f"lengths must be integers [sequences], not {length.dtype}{list(length.shape)}.")
    if row_length < 1:
        raise ValueError(f"row_length must be at least 1, not {row_length}.")
    (bad,) = np.nonzero((length < 0) | (length > row_length))
    if bad.size > 0:
        raise ValueError(
            f"lengths must be from 0 to row_length {row_length}, not {length[bad[:5]].tolist()} "
            f"(of sequences {bad[:5].tolist()}{', ...' if bad.size > 5 else ''}): cut these or take longer rows."
        )
    return length.astype(np.int32)


def _first_fit(length: np.ndarray, order: np.ndarray, row_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns each sequence's row and the column of its first step."""
    row, first = np.zeros_like(length), np.zeros_like(length)
    free = np.full(len(length), row_length)  # one row each is always enough
    num_used = 0
    for number in order[length[order] > 0]:
        at = np.argmax(free[: num_used + 1] >= length[number])
        row[number], first[number] = at, row_length - free[at]
        free[at] -= length[number]
        num_used = max(num_used, at + 1)
    return row, first


def _lay_out(row: np.ndarray, first: np.ndarray, length: np.ndarray, shape: tuple[int, int]) -> Packing:
    sequence_of_step = np.repeat(np.arange(len(length), dtype=np.int32), length)
    before = np.cumsum(length) - length
    position_of_step = np.arange(len(sequence_of_step), dtype=np.int32) - before[sequence_of_step].astype(np.int32)
    at = (row[sequence_of_step], first[sequence_of_step] + position_of_step)
    sequence, position = np.full(shape, -1, np.int32), np.zeros(shape, np.int32)
    sequence[at], position[at] = sequence_of_step, position_of_step
    is_token = sequence >= 0
    return Packing(is_token, is_token & (position == 0), sequence, position, row, first + length - 1, length)


def pack_inputs(
    packing: Packing, values: PyTree[Shaped[Array, "sequences max_time ..."]]
) -> PyTree[Shaped[Array, "rows time ..."]]:
    """Lays values of any dtype, or several arrays of them, into rows; zero where there is no step.

    What stands behind a sequence's end is never read.

    Raises:
        ValueError: values are of another number of sequences, or of fewer steps than the longest has.

    >>> packing = pack([2, 3], row_length=6)
    >>> print(pack_inputs(packing, np.array([[1, 2, 0], [3, 4, 5]])))
    [[3 4 5 1 2 0]]
    """
    for leaf in jax.tree.leaves(values):
        if leaf.ndim < 2 or leaf.shape[0] != len(packing.length):
            raise ValueError(
                f"values must be [sequences, max_time, ...] of {len(packing.length)} sequences, not {leaf.shape}."
            )
        _check_max_time(packing, leaf.shape[1])
    return jax.tree.map(lambda leaf: _look_up(leaf, packing.is_token, packing.sequence, packing.position), values)


def unpack_outputs(
    packing: Packing, outputs: PyTree[Shaped[Array, "rows time ..."]], max_time: int
) -> PyTree[Shaped[Array, "sequences max_time ..."]]:
    """Undoes `pack_inputs`: brings each sequence's steps back to its own row; zero after its end.

    Raises:
        ValueError: outputs are not laid out so, or max_time is less than the longest sequence's.

    >>> packing = pack([2, 3], row_length=6)
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
    column = _first(packing)[:, None] + step
    row = jnp.broadcast_to(packing.row[:, None], column.shape)
    return jax.tree.map(lambda leaf: _look_up(leaf, is_within, row, column), outputs)


def run_packed(
    cell: Cell[Params, State],
    params: Params,
    inputs: PyTree[Float[Array, "rows time _"]],
    packing: Packing,
    *,
    initial: State | None = None,
    recurrent_mask: Float[Array, "sequences 1 hidden"] | None = None,
    segment_size: int | None = None,
    dtype: DTypeLike | None = None,
    backend: str = "auto",
    reverse: bool = False,
) -> tuple[PyTree[Float[Array, "rows time _"]], State]:
    """Runs a cell over packed sequences and returns the outputs of all steps and each sequence's own final state.

    Args:
        inputs: [rows, time, input], as `pack_inputs` makes them. Where there is no step, their values don't matter.
        initial: each sequence's state before its first step (before its last one in a reversed pass), arrays
            [sequences, hidden]; zero by default. It is also the final state of a sequence without steps.
        recurrent_mask: [sequences, 1, hidden], of `run`'s meaning: one for all steps of a sequence.
        segment_size: as in `run`, as are dtype, backend and reverse.

    Returns:
        outputs: [rows, time, hidden]; where there is no step they mean nothing.
        final: arrays [sequences, hidden], the state after the sequence's last step (its first one if `reverse`).

    Raises:
        ValueError: a shape or dtype does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> packing = pack([2, 5, 3], row_length=6)
    >>> inputs = pack_inputs(packing, jnp.ones((3, 5, 3)))
    >>> outputs, final = run_packed(recurrent.lstm, params, inputs, packing)
    >>> outputs.shape, final.memory.shape
    ((2, 6, 4), (3, 4))
    """
    inputs, params = as_arrays("inputs", inputs), as_params(cell, params)
    options = {"segment_size": segment_size, "dtype": dtype, "backend": backend, "reverse": reverse}
    # The states of sequences lie on no axis of the mesh that rows may lie on.
    run_rows = partial(_run_packed, cell, options)
    return on_auto_axes(run_rows, (1, 0), inputs, params, packing, initial, as_array("recurrent_mask", recurrent_mask))


def _run_packed(
    cell: Any, options: dict[str, Any], inputs: Any, params: Any, packing: Packing, initial: Any, recurrent_mask: Any
) -> tuple[Any, Any]:
    zero: Any = cell.zero_state(params)
    resets = {}
    if initial is not None:
        initial = fit("initial", initial, zero, packing.length.shape)
        resets = _resets(packing, initial, options["reverse"])
    exact = jax.tree.leaves(zero)[0].dtype  # not the outputs' dtype: the states among them are not to be rounded
    (outputs, states), _ = run(
        _WithState(cell),
        params,
        inputs,
        is_token=jnp.asarray(packing.is_token),
        is_start=jnp.asarray(packing.is_start),
        recurrent_mask=_spread_mask(packing, recurrent_mask, zero),
        **{**options, "dtype": exact},
        **resets,
    )
    has_steps = packing.length > 0
    end = _first(packing) if options["reverse"] else packing.last
    final = jax.tree.map(lambda leaf: _look_up(leaf, has_steps, packing.row, end), states)
    if initial is None:
        initial = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(has_steps), *leaf.shape)), zero)
    outputs = cast(outputs, jnp.dtype(options["dtype"] or jax.tree.leaves(inputs)[0].dtype))
    return outputs, jax.vmap(select)(jnp.asarray(has_steps), final, initial)


class _WithState(Wrapped):
    """Any cell, but its output holds the new state too, so that it can be taken where a sequence ends."""

    def update(self, params: Any, state: Any, projected: Any, recurrent: Any) -> tuple[Any, Any]:
        state, output = self.cell.update(params, state, projected, recurrent)
        return state, (output, state)


def _resets(packing: Packing, initial: Any, reverse: bool) -> dict[str, Any]:
    """Says which states `run` has to set out from: in each row, and at each start."""
    if len(packing.length) == 0:
        return {}
    sequence = jnp.asarray(packing.sequence)
    if not reverse:
        return {"reset_to": initial, "reset_index": sequence}
    # Backwards, a start hands over to the sequence on its left, and a row sets out from the state of its last one.
    num_tokens = jnp.sum(packing.is_token, axis=1, keepdims=True, dtype=sequence.dtype)
    last_sequence = jnp.take_along_axis(sequence, jnp.maximum(num_tokens - 1, 0), axis=1)[:, 0]
    of_rows = jax.tree.map(lambda leaf: leaf[last_sequence], initial)
    return {"initial": of_rows, "reset_to": initial, "reset_index": jnp.roll(sequence, 1, axis=1)}


def _spread_mask(packing: Packing, mask: AnyArray | None, zero: Any) -> Array | None:
    """Gives each step the mask of its sequence."""
    if mask is None:
        return None
    check_recurrent_mask(jnp.asarray(mask), (len(packing.length), 1), zero)
    return _look_up(mask, packing.is_token, packing.sequence, jnp.zeros_like(packing.sequence))


def _check_max_time(packing: Packing, max_time: int) -> None:
    if isinstance(packing.length, np.ndarray) and packing.length.max(initial=0) > max_time:  # inside jit nobody knows
        raise ValueError(f"The longest sequence has {packing.length.max()} steps, and max_time is {max_time}.")


def _first(packing: Packing) -> Int[AnyArray, "sequences"]:
    """Returns the column of each sequence's first step."""
    return packing.last - packing.length + 1


def _look_up(table: AnyArray, is_there: AnyArray, row: AnyArray, column: AnyArray) -> Array:
    """Returns table[row, column], and zero, with no gradient, where there is nothing."""
    if 0 in table.shape[:2]:
        return jnp.zeros((*is_there.shape, *table.shape[2:]), table.dtype)
    nowhere = jnp.where(is_there, row, len(table))
    return jnp.asarray(table).at[nowhere, column].get(mode="fill", fill_value=0)
