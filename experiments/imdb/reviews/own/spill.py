"""The numbers of the words of training texts, on disk until all words are counted and numbers become ids."""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.own.numbered import NumberedWords

__all__ = ["Block", "Spill"]

_NUMBER = np.dtype("<i4")
_WRITTEN_AT_ONCE = 1 << 16  # numbers
_PART_NUMBERS = 1 << 23  # 32 MiB; a part is removed once it is encoded
_BLOCK_ROWS = 1000


class Block(NamedTuple):
    """The joined ids of some texts."""

    ids: Int[np.ndarray, "ids"]  # int32
    lengths: Int[np.ndarray, "texts"]  # int32


class _Part(NamedTuple):
    path: Path
    generation: int
    first: int  # number of its first text
    last: int  # number of the first text after it


class Spill:
    """Texts as numbers, in files that are removed once they are read."""

    def __init__(self, folder: Path, words: NumberedWords) -> None:
        """Begins without texts."""
        self._folder, self._words = folder, words
        self._lengths, self._waiting = array("i"), array("i")
        self._parts: list[_Part] = []
        self._first, self._size = 0, 0

    def add(self, text: str) -> None:
        """Adds a text."""
        numbers = self._words.text(text)
        self._lengths.append(len(numbers))
        self._waiting.extend(numbers)
        if len(self._waiting) >= _WRITTEN_AT_ONCE:
            self._write()
            if self._words.is_full:
                self._end_part()
                self._words.forget_rare()
            elif self._size >= _PART_NUMBERS:
                self._end_part()

    def finish(self) -> None:
        """Writes what is waiting."""
        self._write()
        self._end_part()

    def blocks(self, tables: Sequence[Int[np.ndarray, "numbers"]]) -> Iterator[Block]:
        """Yields the texts with ids in place of numbers.

        Args:
            tables: of each generation, the id of each number.
        """
        lengths = np.array(self._lengths, np.int32)
        for part in self._parts:
            with part.path.open("rb") as file:
                for start in range(part.first, part.last, _BLOCK_ROWS):
                    some = lengths[start : min(start + _BLOCK_ROWS, part.last)]
                    numbers = np.fromfile(file, _NUMBER, int(some.sum()))
                    yield Block(tables[part.generation][numbers], some)
            part.path.unlink()

    def _write(self) -> None:
        numbers = np.asarray(self._waiting, _NUMBER)
        self._words.count(numbers[numbers > 0])
        with self._path().open("ab") as file:
            file.write(numbers.tobytes())
        self._size += len(numbers)
        self._waiting = array("i")

    def _end_part(self) -> None:
        last = len(self._lengths)
        if last > self._first:
            self._parts.append(_Part(self._path(), self._words.generation, self._first, last))
        self._first, self._size = last, 0

    def _path(self) -> Path:
        return self._folder / f"part-{len(self._parts):05}"
