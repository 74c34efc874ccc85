"""The pairs of neighbouring words that a model knows: those that most training reviews contain.

A pair is known by a hash of 32 bits. Two known pairs never share one. The probability that an unknown pair has the hash
of a known one is about known pairs / 2**32.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt

from experiments.imdb.pair_counts import Counted, PairCounts

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


def frequent_pairs(reviews: Iterable[Int[np.ndarray, "_"]], count: int, folder: Path | None = None) -> Pairs:
    """Returns the pairs that most reviews contain; of equally frequent ones, those of the smallest ids.

    Args:
        reviews: the ids of each training review.
        count: how many pairs.
        folder: of files, where there are more pairs than fit into memory; it is removed then.
    """
    if count < 1:
        return Pairs()
    waiting = iter(reviews)
    with PairCounts(folder) as counts:
        while some := list(islice(waiting, _BATCH)):
            counts.add(np.concatenate([_codes(review) for review in some]))
        best = _Best.of(Counted(np.zeros(0, np.uint64), np.zeros(0, np.int64)), count)
        for block in counts.blocks():
            best = _Best.of(block, count, best)
    return Pairs(tuple(np.sort(best.hashes).tolist()))


def _codes(review: Int[np.ndarray, "_"]) -> np.ndarray:
    """Returns each pair of a review once, as one number of 64 bits."""
    ids = np.asarray(review).astype(np.uint64)
    return np.unique((ids[:-1] << np.uint64(32)) | ids[1:])


class _Best(NamedTuple):
    """The most frequent pairs so far, the best one of each hash; of ascending codes."""

    codes: UInt[np.ndarray, "pairs"]
    times: Int[np.ndarray, "pairs"]
    hashes: UInt[np.ndarray, "pairs"]

    @classmethod
    def of(cls, block: Counted, count: int, best: "_Best | None" = None) -> "_Best":
        """Returns the best of a block, whose codes are above those of `best`, and of that."""
        codes, times = block if best is None else map(np.concatenate, zip(best[:2], block, strict=True))
        order = np.argsort(-times, kind="stable")  # of equally frequent ones, the smallest code
        hashes = mix(codes[order] >> np.uint64(32), codes[order] & np.uint64(0xFFFFFFFF))
        _, first = np.unique(hashes, return_index=True)
        chosen = np.sort(order[np.sort(first)[:count]])
        codes = codes[chosen]
        return cls(codes, times[chosen], mix(codes >> np.uint64(32), codes & np.uint64(0xFFFFFFFF)))
