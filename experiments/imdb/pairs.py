"""The pairs of neighbouring words that a model knows: those that most training reviews contain.

A pair is known by a hash of 32 bits. Two known pairs never share one. The probability that an unknown pair has the hash
of a known one is about known pairs / 2**32.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int

__all__ = ["FACTORS", "SHIFTS", "Pairs", "frequent_pairs", "mix"]

FACTORS = (0x9E3779B1, 0x85EBCA6B, 0x2C1B3C6D)
"""Of the hash: of the first id, of the second one, and of both once they are mixed."""
SHIFTS = (15, 13)
"""Of the hash, before and after the last factor."""
_BATCH = 4096  # reviews whose pairs are counted at a time


@dataclass(frozen=True)
class Pairs:
    """Known pairs. The pair of `hashes[i]` has the number i + 1; 0 is for unknown ones."""

    hashes: tuple[int, ...] = ()  # ascending

    def __post_init__(self) -> None:
        """Raises ValueError for hashes that are not ascending numbers of 32 bits."""
        if not all(type(value) is int and 0 <= value < 1 << 32 for value in self.hashes):
            raise ValueError("The hashes of pairs must be whole numbers of 32 bits.")
        if any(one >= other for one, other in pairwise(self.hashes)):
            raise ValueError("The hashes of pairs must be ascending.")

    def __hash__(self) -> int:
        """Returns a number that is computed once: a compiled model is looked up by its pairs."""
        return self._number

    def __len__(self) -> int:
        """Returns the number of known pairs."""
        return len(self.hashes)

    @cached_property
    def _number(self) -> int:
        return hash(self.hashes)


def mix(one: Any, other: Any) -> Any:
    """Returns the hash of pairs of ids, arrays of NumPy or JAX."""
    of_one, of_other, of_both = map(np.uint32, FACTORS)
    before, after = map(np.uint32, SHIFTS)
    mixed = one.astype(np.uint32) * of_one ^ other.astype(np.uint32) * of_other
    mixed = (mixed ^ mixed >> before) * of_both
    return mixed ^ mixed >> after


def frequent_pairs(reviews: Sequence[Int[np.ndarray, "_"]], count: int) -> Pairs:
    """Returns the pairs that most reviews contain; of equally frequent ones, those of the smallest ids.

    Args:
        reviews: the ids of each training review.
        count: how many pairs.
    """
    if count < 1:
        return Pairs()
    found, times = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for start in range(0, len(reviews), _BATCH):
        rows = range(start, min(start + _BATCH, len(reviews)))
        batch = np.concatenate([_codes(reviews[row]) for row in rows])
        found, times = _add(found, times, *np.unique(batch, return_counts=True))
    best = found[np.argsort(-times, kind="stable")]  # `found` is ascending
    hashes = mix(best >> np.uint64(32), best & np.uint64(0xFFFFFFFF))
    _, first = np.unique(hashes, return_index=True)
    chosen = hashes[np.sort(first)[:count]]
    return Pairs(tuple(np.sort(chosen).tolist()))


def _codes(review: Int[np.ndarray, "_"]) -> np.ndarray:
    """Returns each pair of a review once, as one number of 64 bits."""
    ids = np.asarray(review).astype(np.uint64)
    return np.unique((ids[:-1] << np.uint64(32)) | ids[1:])


def _add(found: np.ndarray, times: np.ndarray, others: np.ndarray, other_times: np.ndarray) -> Iterable[np.ndarray]:
    joined, place = np.unique(np.concatenate([found, others]), return_inverse=True)
    total = np.bincount(place, np.concatenate([times, other_times]), len(joined))
    return joined, total.astype(np.int64)  # sums of float64 are exact far beyond any count
