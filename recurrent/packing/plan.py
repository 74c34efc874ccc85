"""The plan of a packing: the place of each step of each sequence, computed with NumPy."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Int

__all__ = ["AnyArray", "Packing", "check_lengths", "first_fit", "pack"]

AnyArray = Array | np.ndarray


class Packing(NamedTuple):
    """The place of each step of each sequence; NumPy arrays, or JAX arrays inside a jitted function.

    A sequence without steps has row 0 and last column -1.

    >>> import recurrent
    >>> recurrent.pack([2, 3], row_length=6).length
    array([2, 3], dtype=int32)
    """

    is_token: Bool[AnyArray, "rows time"]
    is_start: Bool[AnyArray, "rows time"]
    sequence: Int[AnyArray, "rows time"]  # the step's sequence; -1 where there is no step
    position: Int[AnyArray, "rows time"]  # the step's number in its sequence; 0 where there is no step
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
    """Plans the places of sequences: each goes, whole, into the first row with enough room, from left to right.

    Args:
        lengths: the number of steps of each sequence. Length 0 is allowed, so that batches can have one number of
            sequences.
        row_length: the number of columns.
        num_rows: adds empty rows up to this number, so that all batches have one shape and `jit` compiles once. By
            default there are as many rows as needed, and at least one.
        longest_first: places sequences in decreasing length. This needs at most 11/9 of the fewest possible rows, plus
            6/9 (Dósa 2007); the given order needs up to 17/10 of them (Dósa & Sgall 2013). With False, sequences that
            are appended later do not move earlier ones.

    Raises:
        ValueError: a length is negative or above `row_length`, or there are too few rows.

    >>> packing = pack([4, 5, 2, 3], row_length=8)
    >>> packing.sequence
    array([[ 1,  1,  1,  1,  1,  3,  3,  3],
           [ 0,  0,  0,  0,  2,  2, -1, -1]], dtype=int32)
    >>> packing.row, packing.last
    (array([1, 0, 1, 0], dtype=int32), array([3, 4, 5, 7], dtype=int32))
    """
    length = check_lengths(lengths, row_length)
    order = np.argsort(-length, kind="stable") if longest_first else np.arange(len(length))
    row, first = first_fit(length, order, row_length)
    needed = int(row.max(initial=0)) + 1
    if num_rows is not None and num_rows < needed:
        raise ValueError(
            f"{len(length)} sequences need {needed} rows of length {row_length}, but num_rows is {num_rows}."
        )
    return _lay_out(row, first, length, (num_rows or needed, row_length))


def check_lengths(lengths: Any, row_length: int) -> Int[np.ndarray, "sequences"]:
    """Returns the lengths in int32.

    Raises:
        ValueError: one is negative or above `row_length`, or they are not integers [sequences].
    """
    length = np.asarray(lengths)
    if length.ndim != 1 or (length.size > 0 and not np.issubdtype(length.dtype, np.integer)):
        raise ValueError(f"lengths must be integers [sequences], not {length.dtype}{list(length.shape)}.")
    if row_length < 1:
        raise ValueError(f"row_length must be at least 1, not {row_length}.")
    (bad,) = np.nonzero((length < 0) | (length > row_length))
    if bad.size > 0:
        raise ValueError(
            f"lengths must be from 0 to row_length {row_length}, not {length[bad[:5]].tolist()} "
            f"(sequences {bad[:5].tolist()}{', ...' if bad.size > 5 else ''}): shorten them or increase row_length."
        )
    return length.astype(np.int32)


def first_fit(
    length: np.ndarray, order: np.ndarray, row_length: int, max_sequences: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the row and the first column of each sequence, at most so many sequences to a row."""
    row, first = np.zeros_like(length), np.zeros_like(length)
    free = np.full(len(length), row_length)  # one row per sequence is always enough
    room = np.full(len(length), len(length) if max_sequences is None else max_sequences)
    num_used = 0
    for number in order[length[order] > 0]:
        at = np.argmax(free[: num_used + 1] >= length[number])
        row[number], first[number] = at, row_length - free[at]
        room[at] -= 1
        free[at] = free[at] - length[number] if room[at] else 0
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
