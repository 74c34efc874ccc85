"""Which stored reviews belong to which split, and their ids."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.encoded import Encoded, EncodedSplit
from experiments.imdb.reviews.examples import KerasSplit, keras_split
from experiments.imdb.reviews.facts import Rows
from experiments.imdb.reviews.keras_npz import KerasFile
from experiments.imdb.reviews.own.duplicates import count_duplicates
from experiments.imdb.reviews.own.shards import StoredIds
from experiments.imdb.reviews.own.source import OwnData
from experiments.imdb.reviews.own.split import VALIDATION_SHARE, stratified_split
from experiments.imdb.reviews.source import Source
from experiments.imdb.reviews.stored import StoredReviews
from experiments.imdb.vocabulary import cut

__all__ = ["Order", "duplicates_of", "order_of", "pick_rows"]

Order = KerasSplit
"""The rows of the stored order that belong to each split."""
_STORED_IN = {"train": "train", "validation": "train", "test": "test"}


def order_of(
    source: Source | KerasFile | OwnData, encoded: Encoded, validation_share: float = VALIDATION_SHARE
) -> Order:
    """Returns the rows of each split: Keras' order for the IMDB reviews, a seeded share of each class for own data.

    Raises:
        ValueError: the share does not apply to the source.
    """
    train, test = encoded.splits["train"], encoded.splits.get("test")
    num_test = len(test.labels) if test else 0
    if isinstance(source, OwnData):
        return Order(*stratified_split(train.labels, validation_share), np.arange(num_test))
    if validation_share != VALIDATION_SHARE:
        raise ValueError(
            f"validation_share {validation_share} does not apply to {source.name}: its validation reviews are the last "
            f"fifth in Keras' order. Leave it at {VALIDATION_SHARE}."
        )
    return keras_split(len(train.labels), num_test)


def pick_rows(encoded: Encoded, order: Order, vocabulary_size: int) -> dict[str, Rows]:
    """Picks each split's reviews from the stored order, with ids cut to the vocabulary."""
    stored = {name: _separate(split, vocabulary_size) for name, split in encoded.splits.items()}
    return {
        name: _take(stored[of], encoded.splits[of], getattr(order, name))
        for name, of in _STORED_IN.items()
        if of in stored
    }


def _separate(split: EncodedSplit, vocabulary_size: int) -> Sequence[Int[np.ndarray, "_"]]:
    if isinstance(split.ids, StoredIds):
        return StoredReviews(split.ids, vocabulary_size)
    return np.split(cut(split.ids, vocabulary_size), np.cumsum(split.lengths)[:-1])


def _take(ids: Sequence[Int[np.ndarray, "_"]], split: EncodedSplit, rows: Int[np.ndarray, "rows"]) -> Rows:
    chosen = ids.take(rows) if isinstance(ids, StoredReviews) else [ids[row] for row in rows]
    return Rows(chosen, np.asarray(split.labels[rows]))


def duplicates_of(encoded: Encoded, order: Order) -> dict[str, int] | None:
    """Counts the duplicates of own data; returns None for the IMDB reviews, whose texts are not at hand."""
    if encoded.splits["train"].digests is None:
        return None
    digests, labels = {}, {}
    for name, of in _STORED_IN.items():
        split, rows = encoded.splits.get(of), getattr(order, name)
        if split is not None and split.digests is not None:
            digests[name], labels[name] = split.digests[rows], split.labels[rows]
    return count_duplicates(digests, labels)
