"""Reviews that lie on disk: ids and tokens are read when they are asked for, since all may not fit into memory."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.own.shards import StoredIds
from experiments.imdb.vocabulary import PADDING_ID, cut

__all__ = ["StoredReviews", "StoredTokens"]

_BLOCK = 4096  # reviews that are read at a time where all are wanted


class StoredReviews(Sequence[Int[np.ndarray, "_"]]):
    """The ids of some reviews of a split, cut to a vocabulary."""

    def __init__(self, ids: StoredIds, vocabulary_size: int, rows: Int[np.ndarray, "rows"] | None = None) -> None:
        """Reads nothing yet.

        Args:
            ids: of the split.
            vocabulary_size: number of ids that are kept.
            rows: of the split; all by default.
        """
        self.vocabulary_size = vocabulary_size
        self._ids = ids
        self._rows = np.arange(len(ids)) if rows is None else np.asarray(rows)

    @property
    def folder(self) -> Path:
        """The folder of the ids."""
        return self._ids.folder

    @cached_property
    def lengths(self) -> Int[np.ndarray, "reviews"]:
        """The number of ids of each review."""
        return self._ids.lengths[self._rows]

    def take(self, rows: Int[np.ndarray, "rows"]) -> "StoredReviews":
        """Returns some of the reviews."""
        return StoredReviews(self._ids, self.vocabulary_size, self._rows[rows])

    def joined(self, rows: Any) -> Int[np.ndarray, "ids"]:
        """Reads the ids of some reviews, one after the other."""
        return cut(self._ids.joined(self._rows[rows]), self.vocabulary_size)

    def __len__(self) -> int:
        """Returns the number of reviews."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Int[np.ndarray, "_"]]:
        """Reads the reviews, some at a time."""
        for start in range(0, len(self), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(self)))
            yield from np.split(self.joined(rows), np.cumsum(self.lengths[rows], dtype=np.int64)[:-1])

    def __getitem__(self, row: Any) -> Any:
        """Reads the ids of a review."""
        return cut(self._ids[self._rows[row]], self.vocabulary_size)


class StoredTokens:
    """The tokens of reviews, `[examples, time]`: what `pad` returns for the rows that are asked for."""

    def __init__(self, reviews: StoredReviews, sequence_length: int) -> None:
        """Reads nothing yet."""
        self._reviews = reviews
        self.shape = len(reviews), sequence_length
        self.dtype = np.dtype(np.uint16 if reviews.vocabulary_size <= np.iinfo(np.uint16).max + 1 else np.int32)

    @property
    def folder(self) -> Path:
        """The folder of the ids."""
        return self._reviews.folder

    @property
    def num_tokens(self) -> Int[np.ndarray, "examples"]:
        """Returns the number of tokens of each review, without padding."""
        return np.minimum(self._reviews.lengths, self.shape[1]).astype(np.int64)

    def __len__(self) -> int:
        """Returns the number of reviews."""
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Int[np.ndarray, "rows time"]:
        """Reads the tokens of some reviews: a slice, or an array of numbers."""
        time = self.shape[1]
        ids = self._reviews.joined(rows).astype(self.dtype)
        ends = np.cumsum(self._reviews.lengths[rows], dtype=np.int64).tolist()
        tokens = np.full((len(ends), time), PADDING_ID, self.dtype)
        for row, start, end in zip(tokens, [0, *ends], ends, strict=False):
            last = ids[max(start, end - time) : end]
            row[time - len(last) :] = last
        return tokens

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Reads all."""
        found = np.empty(self.shape, self.dtype if dtype is None else dtype)
        for start in range(0, len(self), _BLOCK):
            found[start : start + _BLOCK] = self[start : start + _BLOCK]
        return found
