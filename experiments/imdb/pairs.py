"""The pairs and triples of neighbouring words that a model knows: those that most training reviews contain.

Each is known by a hash of 32 bits. No two known ones share it. The probability that an unknown one has the hash
of a known one is about known ones / 2**32.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt

from experiments.imdb.pair_counts import Counted, PairCounts

__all__ = ["FACTORS", "NO_PAIRS", "SHIFTS", "NumPairs", "Pairs", "frequent_pairs", "known_pairs", "mix"]

FACTORS = (0x9E3779B1, 0x85EBCA6B, 0x2C1B3C6D)
"""Of the hash: of the first id, of the second one, and of both once they are mixed."""
SHIFTS = (15, 13)
"""Of the hash, before and after the last factor."""
_BATCH = 4096  # reviews whose pairs are counted at a time


class NumPairs(NamedTuple):
    """How many pairs and triples of neighbouring words a vocabulary has."""

    pairs: int = 0
    triples: int = 0


NO_PAIRS = NumPairs()


@dataclass(frozen=True)
class Pairs:
    """Known pairs and triples. The one of `hashes[i]` has the number i + 1; 0 is for unknown ones."""

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
    """Returns the hash of pairs of ids, arrays of NumPy or JAX.

    That of a triple is of the hash of its first two ids, and its last id.
    """
    of_one, of_other, of_both = map(np.uint32, FACTORS)
    before, after = map(np.uint32, SHIFTS)
    mixed = one.astype(np.uint32) * of_one ^ other.astype(np.uint32) * of_other
    mixed = (mixed ^ mixed >> before) * of_both
    return mixed ^ mixed >> after


def known_pairs(
    read: Callable[[], Iterable[Int[np.ndarray, "_"]]], wanted: NumPairs, folder: Path | None = None
) -> Pairs:
    """Returns the most frequent pairs and triples; a triple with the hash of a pair is left out.

    Args:
        read: returns the ids of each training review.
        wanted: how many.
        folder: as in `frequent_pairs`.
    """
    found = [frequent_pairs(read(), count, folder, num_words) for count, num_words in zip(wanted, (2, 3), strict=True)]
    return Pairs(tuple(sorted({value for each in found for value in each.hashes})))


def frequent_pairs(
    reviews: Iterable[Int[np.ndarray, "_"]], count: int, folder: Path | None = None, num_words: int = 2
) -> Pairs:
    """Returns the pairs that most reviews contain; of equally frequent ones, those of the smallest ids.

    Args:
        reviews: the ids of each training review.
        count: how many pairs.
        folder: of files, where there are more pairs than fit into memory; it is removed then.
        num_words: 3 for triples in place of pairs.
    """
    if count < 1:
        return Pairs()
    waiting = iter(reviews)
    with PairCounts(folder) as counts:
        while some := list(islice(waiting, _BATCH)):
            counts.add(np.concatenate([_codes(review, num_words) for review in some]))
        best = _Best.of(Counted(np.zeros(0, np.uint64), np.zeros(0, np.int64)), count, num_words)
        for block in counts.blocks():
            best = _Best.of(block, count, num_words, best)
    return Pairs(tuple(np.sort(best.hashes).tolist()))


def _codes(review: Int[np.ndarray, "_"], num_words: int) -> UInt[np.ndarray, "codes"]:
    """Returns each pair or triple of a review once, as one number of 64 bits."""
    ids, bits = np.asarray(review).astype(np.uint64), np.uint64(64 // num_words)
    last = max(len(ids) - num_words + 1, 0)
    codes = ids[:last]
    for place in range(1, num_words):
        codes = (codes << bits) | ids[place : place + last]
    return np.unique(codes)


def _hashes(codes: UInt[np.ndarray, "codes"], num_words: int) -> UInt[np.ndarray, "codes"]:
    bits = 64 // num_words
    first, *others = (
        codes >> np.uint64(bits * place) & np.uint64((1 << bits) - 1) for place in reversed(range(num_words))
    )
    return reduce(mix, others, first)


class _Best(NamedTuple):
    """The most frequent pairs so far, the best one of each hash; of ascending codes."""

    codes: UInt[np.ndarray, "pairs"]
    times: Int[np.ndarray, "pairs"]
    hashes: UInt[np.ndarray, "pairs"]

    @classmethod
    def of(cls, block: Counted, count: int, num_words: int, best: "_Best | None" = None) -> "_Best":
        """Returns the best of a block, whose codes are above those of `best`, and of that."""
        codes, times = block if best is None else map(np.concatenate, zip(best[:2], block, strict=True))
        order = np.argsort(-times, kind="stable")  # of equally frequent ones, the smallest code
        hashes = _hashes(codes[order], num_words)
        _, first = np.unique(hashes, return_index=True)
        chosen = np.sort(order[np.sort(first)[:count]])
        codes = codes[chosen]
        return cls(codes, times[chosen], _hashes(codes, num_words))
