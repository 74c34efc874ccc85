"""Batches of packed rows from an iterator of sequences, whose position is exact."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import jax
import numpy as np

from recurrent.call.arguments import integer
from recurrent.packing.packed_rows import PackedRows, Sequences
from recurrent.tree_form import refuse_other_form, without_rows

__all__ = ["PackedIterator"]


class _Drawn(NamedTuple):
    """A sequence, its number among all that were drawn, and the iterator's position before it."""

    sequence: Sequences
    number: int
    position: Any
    length: int


class PackedIterator(Iterator[PackedRows]):
    """Packs sequences as they come: each goes into the first row of the batch that has room.

    A sequence that fits nowhere waits for the next batch, which it enters first. A batch ends when `most_waiting`
    sequences wait. With `get_state` and `set_state`, it goes on exactly where it was, as a `BatchIterator` of
    `recurrent.training` does after a resume.

    >>> import numpy as np
    >>> from recurrent.packing import PackedIterator, Sequences
    >>> sequences = (Sequences(np.full(length, length)) for length in (2, 3, 4, 1, 2))
    >>> batches = PackedIterator(sequences, row_length=6, num_rows=1, max_sequences=3, most_waiting=1)
    >>> [batch.steps.tolist() for batch in batches]
    [[[2, 2, 3, 3, 3, 0]], [[4, 4, 4, 4, 1, 0]], [[2, 2, 0, 0, 0, 0]]]
    """

    def __init__(
        self,
        sequences: Iterator[Sequences],
        row_length: int,
        num_rows: int,
        *,
        max_sequences: int,
        most_waiting: int = 16,
    ) -> None:
        """Draws nothing yet.

        Args:
            sequences: one at a time, each a `Sequences` with arrays `[steps, ...]` and, in `each`, what it has as a
                whole. With `get_state` and `set_state`, as Grain's iterators have them, a resume begins at its
                position. Otherwise it draws all sequences so far again.
            row_length: columns of a row.
            num_rows: of a batch.
            max_sequences: in a row.
            most_waiting: how many sequences may wait. With more, rows are fuller.

        Raises:
            ValueError: a number is no integer, or below 1; or `sequences` is no iterator.
        """
        if not isinstance(sequences, Iterator) and not hasattr(sequences, "__next__"):
            raise ValueError(f"sequences must be an iterator, not a {type(sequences).__name__}: iter(...) makes one.")
        numbers = {"row_length": row_length, "num_rows": num_rows, "max_sequences": max_sequences}
        for name, value in (numbers | {"most_waiting": most_waiting}).items():
            integer(name, value, at_least=1, takes_arrays=False)
        self._sequences, self._shape, self._slots = sequences, (num_rows, row_length), max_sequences
        self._most_waiting = most_waiting
        self._waiting: list[_Drawn] = []
        self._expected: Any = None
        self._num_drawn = 0

    def __next__(self) -> PackedRows:
        """Returns the next batch; the last one may have rows that are empty.

        Raises:
            ValueError: a sequence has no step, or more than a row has; or it is none, or its arrays are of other shapes
                or dtypes than those of the first one.
        """
        rows = _Rows(*self._shape, self._slots)
        waiting, self._waiting = self._waiting, []
        for drawn in waiting:
            self._place(rows, drawn)
        while len(self._waiting) < self._most_waiting:
            try:
                self._place(rows, self._draw())
            except StopIteration:
                if not rows.placed:
                    raise
                break
        return rows.filled()

    def get_state(self) -> dict[str, Any]:
        """Returns the position, in JSON's types if the iterator's own is: which sequences wait, and what comes next."""
        first = self._waiting[0].number if self._waiting else self._num_drawn
        position = self._waiting[0].position if self._waiting else _position(self._sequences)
        return {
            "row_length": self._shape[1],
            "iterator": position,
            "first": first,
            "drawn": self._num_drawn - first,
            "waiting": [drawn.number - first for drawn in self._waiting],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a position.

        Raises:
            ValueError: the iterator has none of its own, and was drawn from already; or rows had another length.
        """
        own: Any = self._sequences
        length = self._shape[1]
        if state.get("row_length", length) != length:
            raise ValueError(f"The position is one among rows of {state['row_length']} steps, and these have {length}.")
        if state["iterator"] is not None:
            own.set_state(state["iterator"])
        elif self._num_drawn:
            raise ValueError("An iterator without set_state can't go back: begin with a new one.")
        else:
            next(islice(own, state["first"], state["first"]), None)
        self._num_drawn = state["first"]
        again = [self._draw() for _ in range(state["drawn"])]
        self._waiting = [again[offset] for offset in state["waiting"]]

    def _draw(self) -> _Drawn:
        position = _position(self._sequences)
        name, sequence = f"Sequence {self._num_drawn} of the iterator", next(self._sequences)
        if not isinstance(sequence, Sequences):
            raise ValueError(f"{name} must be a Sequences, not a {type(sequence).__name__}.")
        sequence = jax.tree.map(np.asarray, sequence)
        lengths = {leaf.shape[0] if leaf.ndim else -1 for leaf in jax.tree.leaves(sequence.steps)}
        if len(lengths) != 1 or -1 in lengths:
            shapes = jax.tree.map(np.shape, sequence.steps)
            raise ValueError(f"{name} must have steps in arrays [steps, ...], all of as many steps, not {shapes}.")
        length = lengths.pop()
        if not 1 <= length <= self._shape[1]:
            raise ValueError(f"{name} has {length} steps; a row has room for 1 to {self._shape[1]}.")
        whole = Sequences(sequence.steps, jax.tree.map(lambda leaf: leaf[None], sequence.each))
        self._expected = without_rows(whole) if self._expected is None else self._expected
        refuse_other_form(name, whole, self._expected)
        self._num_drawn += 1
        return _Drawn(sequence, self._num_drawn - 1, position, length)

    def _place(self, rows: "_Rows", drawn: _Drawn) -> None:
        if not rows.add(drawn):
            self._waiting.append(drawn)


class _Rows:
    """The rows of a batch, and which sequence lies where."""

    def __init__(self, num_rows: int, row_length: int, num_slots: int) -> None:
        self._shape, self._num_slots = (num_rows, row_length), num_slots
        self._free, self._used = np.full(num_rows, row_length), np.zeros(num_rows, int)
        self.placed: list[tuple[_Drawn, int, int, int]] = []  # with row, column and slot

    def add(self, drawn: _Drawn) -> bool:
        """Places a sequence in the first row with room; says whether there is one."""
        has_room = (self._free >= drawn.length) & (self._used < self._num_slots)
        row = int(np.argmax(has_room))
        if not has_room[row]:
            return False
        self.placed.append((drawn, row, int(self._shape[1] - self._free[row]), int(self._used[row])))
        self._free[row] -= drawn.length
        self._used[row] += 1
        return True

    def filled(self) -> PackedRows:
        """Returns the rows with what was placed."""
        slots = self._shape[0], self._num_slots
        length, number = np.zeros(slots, np.int32), np.zeros(slots, np.int32)
        first = self.placed[0][0].sequence
        steps = jax.tree.map(lambda leaf: np.zeros((*self._shape, *leaf.shape[1:]), leaf.dtype), first.steps)
        each = jax.tree.map(lambda leaf: np.zeros((*slots, *np.shape(leaf)), np.asarray(leaf).dtype), first.each)
        for drawn, row, column, slot in self.placed:
            length[row, slot], number[row, slot] = drawn.length, drawn.number % (1 << 31)
            place = row, slice(column, column + drawn.length)
            jax.tree.map(_Setter(place), steps, drawn.sequence.steps)
            jax.tree.map(_Setter((row, slot)), each, drawn.sequence.each)
        return PackedRows(steps, each, length, number)


class _Setter(NamedTuple):
    place: Any

    def __call__(self, out: np.ndarray, values: Any) -> None:
        out[self.place] = values


def _position(iterator: Any) -> Any:
    return iterator.get_state() if hasattr(iterator, "get_state") else None
