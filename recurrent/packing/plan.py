"""The plan of a packing: which step of which sequence stands where, made once, with NumPy."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Int

__all__ = ["AnyArray", "Packing", "pack"]

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
