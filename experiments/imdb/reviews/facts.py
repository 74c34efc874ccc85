"""Statistics of the data for people, and a fingerprint for comparing data sets."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.reviews.stored import StoredReviews
from experiments.imdb.vocabulary import UNKNOWN_ID

__all__ = ["Facts", "Rows", "count_unknown", "fingerprint", "gather"]

_BLOCK = 4096  # reviews whose ids are joined at a time


class Rows(NamedTuple):
    """The reviews of a split as ids, of any length, and their labels."""

    ids: Sequence[Int[np.ndarray, "_"]]
    labels: Int[np.ndarray, "examples"]


class Facts(NamedTuple):
    """Statistics. The training text is that of train and validation, since the vocabulary was counted on both."""

    source: str
    reviews: dict[str, int]  # in each split
    distinct_words: int  # in the training text
    mean_length: float  # ids per review of the training text, including the start id, before truncation
    unknown_share: float  # of the training text's ids, with this vocabulary
    positive_share: float | None  # of the validation reviews; None for more than two classes
    cut_share: float  # training reviews that are longer than the sequence length
    padding_share: float  # of the training tokens
    classes: dict[str, int] | None = None  # of own data: training and validation reviews of each class
    duplicates: dict[str, int] | None = None  # of own data: as `count_duplicates` returns them


def gather(
    source: str,
    distinct_words: int,
    rows: Mapping[str, Rows],
    sequence_length: int,
    classes: Sequence[str] = IMDB_CLASSES,
    duplicates: dict[str, int] | None = None,
    num_unknown: int | None = None,
) -> Facts:
    """Returns the statistics of splits with a limited vocabulary and full lengths.

    `num_unknown` is that of `count_unknown`, where it is known; reviews on disk are not read then.
    """
    lengths = _lengths(rows["train"].ids)
    num_ids = int(lengths.sum() + _lengths(rows["validation"].ids).sum())
    num_unknown = count_unknown(rows) if num_unknown is None else num_unknown
    num_reviews = len(rows["train"].ids) + len(rows["validation"].ids)
    counts = sum(np.bincount(rows[name].labels, minlength=len(classes)) for name in ("train", "validation"))
    return Facts(
        source=source,
        reviews={name: len(each.labels) for name, each in rows.items()},
        distinct_words=distinct_words,
        mean_length=num_ids / num_reviews,
        unknown_share=num_unknown / num_ids,
        positive_share=float(rows["validation"].labels.mean()) if len(classes) == 2 else None,
        cut_share=float(np.mean(lengths > sequence_length)),
        padding_share=float(1 - np.minimum(lengths, sequence_length).mean() / sequence_length),
        classes=dict(zip(classes, np.asarray(counts).tolist(), strict=True)) if duplicates is not None else None,
        duplicates=duplicates,
    )


def count_unknown(rows: Mapping[str, Rows]) -> int:
    """Counts the unknown ids of the training text."""
    blocks = (block for name in ("train", "validation") for block in _blocks(rows[name].ids))
    return sum(int(np.count_nonzero(block == UNKNOWN_ID)) for block in blocks)


def _lengths(ids: Sequence[Int[np.ndarray, "_"]]) -> Int[np.ndarray, "reviews"]:
    if isinstance(ids, StoredReviews):
        return ids.lengths.astype(np.int64)
    return np.array([len(review) for review in ids], np.int64)


def _blocks(ids: Sequence[Int[np.ndarray, "_"]]) -> Iterator[Int[np.ndarray, "_"]]:
    """Yields the joined ids of some reviews at a time, since those of all may not fit into memory."""
    for start in range(0, len(ids), _BLOCK):
        rows = range(start, min(start + _BLOCK, len(ids)))
        yield ids.joined(rows) if isinstance(ids, StoredReviews) else np.concatenate([ids[row] for row in rows])


def fingerprint(rows: Mapping[str, Rows], classes: Sequence[str] = IMDB_CLASSES) -> str:
    """Returns the SHA-256 of each split's name, lengths, ids (int32) and labels (uint8), as little-endian bytes.

    Of other classes than IMDB's, their names come first, and labels are int32.
    """
    sha256 = hashlib.sha256()
    is_imdb = tuple(classes) == IMDB_CLASSES
    if not is_imdb:
        sha256.update(f"classes {list(classes)!r}\n".encode())
    for name, (ids, labels) in rows.items():
        sha256.update(f"{name} {len(ids)}\n".encode())
        sha256.update(_lengths(ids).astype("<i4").tobytes())
        for block in _blocks(ids):
            sha256.update(block.astype("<i4").tobytes())
        sha256.update(labels.astype("u1" if is_imdb else "<i4").tobytes())
    return sha256.hexdigest()
