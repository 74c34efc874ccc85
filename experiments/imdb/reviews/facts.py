"""Statistics of the data for people, and a fingerprint for comparing data sets."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.imdb.vocabulary import UNKNOWN_ID

__all__ = ["Facts", "Rows", "fingerprint", "gather"]


class Rows(NamedTuple):
    """The reviews of a split as ids, of any length, and their labels."""

    ids: list[Int[np.ndarray, "_"]]
    labels: Int[np.ndarray, "examples"]


class Facts(NamedTuple):
    """Statistics. The training text is that of train and validation, since the vocabulary was counted on both."""

    source: str
    reviews: dict[str, int]  # in each split
    distinct_words: int  # in the training text
    mean_length: float  # ids per review of the training text, including the start id, before truncation
    unknown_share: float  # of the training text's ids, with this vocabulary
    positive_share: float  # of the validation reviews
    cut_share: float  # training reviews that are longer than the sequence length
    padding_share: float  # of the training tokens


def gather(source: str, distinct_words: int, rows: Mapping[str, Rows], sequence_length: int) -> Facts:
    """Returns the statistics of splits with a limited vocabulary and full lengths."""
    lengths = np.array([len(review) for review in rows["train"].ids])
    ids = np.concatenate(rows["train"].ids + rows["validation"].ids)
    num_reviews = len(rows["train"].ids) + len(rows["validation"].ids)
    return Facts(
        source=source,
        reviews={name: len(each.labels) for name, each in rows.items()},
        distinct_words=distinct_words,
        mean_length=ids.size / num_reviews,
        unknown_share=float(np.mean(ids == UNKNOWN_ID)),
        positive_share=float(rows["validation"].labels.mean()),
        cut_share=float(np.mean(lengths > sequence_length)),
        padding_share=float(1 - np.minimum(lengths, sequence_length).mean() / sequence_length),
    )


def fingerprint(rows: Mapping[str, Rows]) -> str:
    """Returns the SHA-256 of each split's name, lengths, ids (int32) and labels (uint8), as little-endian bytes."""
    sha256 = hashlib.sha256()
    for name, (ids, labels) in rows.items():
        sha256.update(f"{name} {len(ids)}\n".encode())
        sha256.update(np.array([len(review) for review in ids], "<i4").tobytes())
        sha256.update(np.concatenate(ids).astype("<i4").tobytes())
        sha256.update(labels.astype(np.uint8).tobytes())
    return sha256.hexdigest()
