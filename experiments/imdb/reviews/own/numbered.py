"""Numbers for the words of a corpus while it is read, in bounded memory.

Words get numbers in the order in which they appear, so that a text can be written before all words are counted. When
there are more than `max_words` of them, the rare ones are forgotten (lossy counting: Manku & Motwani 2002), the others
get new numbers, and a new generation begins. A table for each generation says what its numbers have become.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.words import keras_words
from experiments.imdb.vocabulary import ID_OFFSET, START_ID, UNKNOWN_ID, rank

__all__ = ["MAX_WORDS", "NumberedWords"]

MAX_WORDS = 1_000_000
"""Different words that are counted at a time; about 200 MB."""
_FORGOTTEN = -1
_START, _FIRST = 0, 1  # number of a review's start, and of the first word


class _Numbers(dict[str, int]):
    """Word -> number; a new word gets the next one."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self) + _FIRST
        return number


class NumberedWords:
    """The words so far, and how often each occurs."""

    def __init__(self, max_words: int = MAX_WORDS) -> None:
        """Begins without words."""
        self._max_words = max_words
        self._numbers = _Numbers()
        self._counts = np.zeros(1024, np.int64)
        self._tables: list[Int[np.ndarray, "numbers"]] = []

    @property
    def generation(self) -> int:
        """Returns the number of the generation, from 0."""
        return len(self._tables)

    @property
    def is_full(self) -> bool:
        """Says whether there are so many words that rare ones should be forgotten."""
        return len(self._numbers) > self._max_words

    def text(self, text: str) -> list[int]:
        """Returns the numbers of a text's words, after that of the start."""
        return [_START, *map(self._numbers.__getitem__, keras_words(text))]

    def count(self, numbers: Int[np.ndarray, "words"]) -> None:
        """Counts numbers of this generation."""
        found = np.bincount(numbers, minlength=len(self._numbers) + _FIRST)
        if len(found) > len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros(2 * len(found) - len(self._counts), np.int64)])
        self._counts[: len(found)] += found

    def forget_rare(self) -> None:
        """Forgets the rarest words, at least half of them, and begins a new generation."""
        counts = self._counts[_FIRST : len(self._numbers) + _FIRST]
        least = np.sort(counts)[len(counts) // 2]  # all words as rare as the median are forgotten
        table = np.full(len(counts) + _FIRST, _FORGOTTEN, np.int32)
        table[0] = 0
        kept = np.flatnonzero(counts > least) + _FIRST
        table[kept] = np.arange(_FIRST, len(kept) + _FIRST)
        words = list(self._numbers)
        numbers = _Numbers()
        for number in kept.tolist():
            numbers[words[number - _FIRST]] = len(numbers) + _FIRST
        self._numbers, self._counts = numbers, np.concatenate([[0], counts[kept - _FIRST]])
        self._tables.append(table)

    def finish(self) -> tuple[tuple[str, ...], list[Int[np.ndarray, "numbers"]]]:
        """Returns the words by rank, and for each generation the id of each number; forgotten words are unknown."""
        words = list(self._numbers)
        counts = self._counts[_FIRST : len(words) + _FIRST].tolist()
        ranked = rank(dict(zip(words, counts, strict=True)))
        ids = np.empty(len(words) + _FIRST, np.int32)
        ids[0] = START_ID
        ids[[self._numbers[word] for word in ranked]] = np.arange(len(words)) + ID_OFFSET + 1
        self._numbers.clear()
        return ranked, _composed(self._tables, ids)


def _composed(
    tables: Sequence[Int[np.ndarray, "_"]], last: Int[np.ndarray, "numbers"]
) -> list[Int[np.ndarray, "numbers"]]:
    found = [last]
    for table in reversed(tables):
        found.append(np.where(table == _FORGOTTEN, np.int32(UNKNOWN_ID), found[-1][table]))
    return found[::-1]
