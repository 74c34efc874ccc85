"""The reviews of a split, with their lengths before the cut and their texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from experiments.imdb.pairs import NO_PAIRS, NumPairs
from experiments.imdb.reviews.dataset import AnySource, load_source, split
from experiments.imdb.reviews.encoded import obtain
from experiments.imdb.reviews.keras_npz import KerasFile
from experiments.imdb.reviews.order import order_of
from experiments.imdb.reviews.own.source import OwnData, own_texts
from experiments.imdb.reviews.own.split import VALIDATION_SHARE
from experiments.imdb.reviews.source import IMDB_CLASSES, OnProgress, ignore_progress
from experiments.imdb.vocabulary import ID_OFFSET, PADDING_ID, START_ID, UNKNOWN_ID, Vocabulary

__all__ = ["Reviews", "decoded", "find_texts", "load_reviews", "num_read", "original_texts", "unknown_shares"]


class Reviews(NamedTuple):
    """The reviews of one split."""

    tokens: Int[np.ndarray, "examples time"]
    labels: Shaped[np.ndarray, "examples"]
    num_words: Int[np.ndarray, "examples"]  # before the cut, without the start id
    row: Int[np.ndarray, "examples"]  # in the order of the source
    vocabulary: Vocabulary
    fingerprint: str  # of the data set
    classes: tuple[str, ...] = IMDB_CLASSES


def load_reviews(
    source: AnySource,
    data_dir: Path,
    vocabulary_size: int,
    sequence_length: int,
    split_name: str,
    on_progress: OnProgress = ignore_progress,
    validation_share: float = VALIDATION_SHARE,
    num_pairs: NumPairs = NO_PAIRS,
) -> Reviews:
    """Loads a split.

    Raises:
        FileNotFoundError: the source does not exist.
        ValueError: it is corrupt, or lacks the split.
    """
    sizes, stream = (vocabulary_size, sequence_length), isinstance(source, OwnData)
    data = load_source(source, data_dir, *sizes, on_progress, validation_share, num_pairs, stream)
    tokens, labels = split(data, split_name)
    encoded = obtain(source, data_dir, on_progress)
    row = getattr(order_of(source, encoded, validation_share), split_name)
    lengths = encoded.splits["test" if split_name == "test" else "train"].lengths
    of_split = np.asarray(tokens), labels, lengths[row] - 1, row
    return Reviews(*of_split, data.vocabulary, data.fingerprint, data.classes)


def num_read(tokens: Int[np.ndarray, "examples time"]) -> Int[np.ndarray, "examples"]:
    """Counts the words of each review that a model reads, without padding and the start id."""
    return np.sum((tokens != PADDING_ID) & (tokens != START_ID), axis=1)


def unknown_shares(tokens: Int[np.ndarray, "examples time"]) -> Float[np.ndarray, "examples"]:
    """Returns the share of unknown words among the words that a model reads; 0 for a review without words."""
    return np.sum(tokens == UNKNOWN_ID, axis=1) / np.maximum(num_read(tokens), 1)


def find_texts(
    source: AnySource,
    data_dir: Path,
    reviews: Reviews,
    split_name: str,
    examples: Sequence[int],
    on_progress: OnProgress = ignore_progress,
) -> tuple[list[str], bool]:
    """Returns the texts of some reviews, and whether they are the originals; else they are decoded from ids."""
    try:
        return original_texts(source, data_dir, reviews.row[list(examples)], split_name, on_progress), True
    except (OSError, ValueError):  # the source has no texts, or was removed after it was encoded
        return [decoded(reviews.vocabulary, reviews.tokens[each]) for each in examples], False


def original_texts(
    source: AnySource,
    data_dir: Path,
    rows: Int[np.ndarray, "rows"],
    split_name: str,
    on_progress: OnProgress = ignore_progress,
) -> list[str]:
    """Reads the texts of some rows of a source.

    Raises:
        FileNotFoundError: the source does not exist.
        ValueError: it contains no texts, or is corrupt.
    """
    if isinstance(source, KerasFile):
        raise ValueError(f"{source.path} contains ids and no texts.")
    if isinstance(source, OwnData):
        return own_texts(source, rows, "test" if split_name == "test" else "train")
    from experiments.imdb.reviews import prepared as reviews

    stored = reviews.read(source, data_dir, on_progress)["test" if split_name == "test" else "train"]
    return [stored[row].text for row in rows]


def decoded(vocabulary: Vocabulary, tokens: Int[np.ndarray, "time"]) -> str:
    """Returns tokens as words; […] is an unknown one."""
    words = (
        "[…]" if token == UNKNOWN_ID else vocabulary.words[token - ID_OFFSET - 1]
        for token in tokens.tolist()
        if token == UNKNOWN_ID or token > ID_OFFSET
    )
    return " ".join(words)
