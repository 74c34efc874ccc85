"""Reviews of any length as arrays of one shape, truncated and padded at the front as Keras does."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from experiments.imdb.vocabulary import PADDING_ID

__all__ = ["Examples", "KerasSplit", "keras_split", "make_examples", "make_labels", "pad"]

_KERAS_SEED = 113  # of `keras.datasets.imdb.load_data`


class Examples(NamedTuple):
    """Reviews as a model's inputs."""

    tokens: Int[np.ndarray, "examples time"]  # uint16 if the vocabulary's size allows, else int32; or `StoredTokens`
    labels: Shaped[np.ndarray, "examples"]  # float32, 0 or 1, for two classes; int32 ids of classes for more


class KerasSplit(NamedTuple):
    """The rows of the stored order that belong to each split, in Keras' order."""

    train: Int[np.ndarray, "rows"]
    validation: Int[np.ndarray, "rows"]
    test: Int[np.ndarray, "rows"]


def keras_split(num_train: int, num_test: int = 0) -> KerasSplit:
    """Returns Keras' shuffled order (`load_data`), with the last fifth of the training reviews for validation."""
    generator = np.random.RandomState(_KERAS_SEED)  # legacy, but required for Keras' order
    train, test = np.arange(num_train), np.arange(num_test)
    generator.shuffle(train)
    generator.shuffle(test)  # after train, with the same generator
    num_kept = num_train - num_train // 5
    return KerasSplit(train[:num_kept], train[num_kept:], test)


def make_examples(
    ids: Sequence[Int[np.ndarray, "_"]],
    labels: Int[np.ndarray, "_"],
    sequence_length: int,
    vocabulary_size: int,
    num_classes: int = 2,
) -> Examples:
    """Returns the arrays of reviews from ids and labels.

    Labels of two classes are float32, those of more are int32.

    Raises:
        ValueError: an id or a label is out of range or has another type; says where.
    """
    labels = np.asarray(labels)
    if labels.shape != (len(ids),):
        raise ValueError(f"There are {len(ids)} reviews, but labels of shape {labels.shape} instead of ({len(ids)},).")
    return Examples(pad(ids, sequence_length, vocabulary_size), make_labels(labels, num_classes))


def make_labels(labels: Int[np.ndarray, "_"], num_classes: int) -> Shaped[np.ndarray, "_"]:
    """Returns labels in float32 for two classes, in int32 for more.

    Raises:
        ValueError: one is out of range or has another type; says where.
    """
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"Labels must be the numbers 0 and 1, not {labels.dtype}.")
    bad = np.flatnonzero(~np.isin(labels, np.arange(num_classes)))
    if bad.size:
        allowed = "neither 0 nor 1" if num_classes == 2 else f"none of 0 to {num_classes - 1}"
        raise ValueError(f"Label {labels[bad[0]]} of review {bad[0]} is {allowed}.")
    return labels.astype(np.float32 if num_classes == 2 else np.int32)


def pad(
    ids: Sequence[Int[np.ndarray, "_"]], sequence_length: int, vocabulary_size: int
) -> Int[np.ndarray, "examples time"]:
    """Truncates reviews to their last `sequence_length` ids, and pads short ones in front.

    Raises:
        ValueError: an id is negative, not below `vocabulary_size`, or not an integer; says where.
    """
    if sequence_length < 1:
        raise ValueError(f"sequence_length must be at least 1, not {sequence_length}.")
    dtype = np.uint16 if vocabulary_size <= np.iinfo(np.uint16).max + 1 else np.int32
    tokens = np.full((len(ids), sequence_length), PADDING_ID, dtype)
    for row, review in enumerate(ids):
        last = _checked(row, np.asarray(review), vocabulary_size)[-sequence_length:]
        tokens[row, sequence_length - len(last) :] = last
    return tokens


def _checked(row: int, review: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """Checks one review's ids. On an accelerator, an id outside the table would silently give a wrong number."""
    if review.ndim != 1:
        raise ValueError(f"Review {row} must be a vector of ids, not an array of shape {review.shape}.")
    if not review.size:  # np.asarray makes floats of an empty list
        return np.zeros(0, np.int32)
    if review.dtype.kind not in "iu":
        raise ValueError(f"Review {row} must be integer ids, not {review.dtype}.")
    if review.min() < 0 or review.max() >= vocabulary_size:
        position = int(np.flatnonzero((review < 0) | (review >= vocabulary_size))[0])
        raise ValueError(
            f"Id {review[position]} at position {position} of review {row} is outside 0 to {vocabulary_size - 1}, "
            "the ids of the vocabulary."
        )
    return review
