"""Keras' own imdb.npz. It has ids and no text; the words come from the same reviews as text, in the same order."""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.pickled_lists import read_lists
from experiments.imdb.reviews.source import Source
from experiments.imdb.reviews.wheel import Wheel
from experiments.imdb.reviews.words import keras_words

__all__ = ["KerasArrays", "KerasFile", "words_by_alignment"]

MEMBER_MAX_BYTES = 128 << 20  # Keras' own members have about 20 MB


class KerasArrays(NamedTuple):
    """The content of the file, in its stored order; ids are ranks, 1 for the most frequent word."""

    x_train: list[Int[np.ndarray, "_"]]
    y_train: Int[np.ndarray, "_"]
    x_test: list[Int[np.ndarray, "_"]]
    y_test: Int[np.ndarray, "_"]


@dataclass(frozen=True)
class KerasFile:
    """An imdb.npz, and the source of its training reviews as text."""

    path: Path
    texts: Source = field(default_factory=Wheel)

    @cached_property
    def name(self) -> str:
        """The name of the content, from its hash."""
        with self.path.open("rb") as file:
            return "keras-" + hashlib.file_digest(file, "sha256").hexdigest()[:16]

    def read(self) -> KerasArrays:
        """Reads the file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is corrupt, too large, not Keras', or its pickle names something to call.
        """
        with self.path.open("rb") as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    x_train, x_test = (read_lists(_member(archive, name)) for name in ("x_train", "x_test"))
                    y_train, y_test = (_labels(_member(archive, name)) for name in ("y_train", "y_test"))
            except Exception as error:  # corrupt zip files, headers and pickles raise many kinds
                raise ValueError(f"{self.path} can't be read as Keras' imdb.npz: {error}") from error
        for reviews, labels in ((x_train, y_train), (x_test, y_test)):
            if len(reviews) != len(labels):
                raise ValueError(f"{self.path} has {len(reviews)} reviews and {len(labels)} labels in one split.")
        return KerasArrays(x_train, y_train, x_test, y_test)


def words_by_alignment(reviews: Sequence[Int[np.ndarray, "_"]], texts: Sequence[str]) -> tuple[str, ...]:
    """Returns the words by rank, found by aligning reviews as ranks with the same reviews as text.

    Raises:
        ValueError: they are not the same reviews.
    """
    if len(reviews) != len(texts):
        raise ValueError(f"There are {len(reviews)} reviews as ids and {len(texts)} as text: they do not match.")
    word_of: dict[int, str] = {}
    for number, (review, text) in enumerate(zip(reviews, texts, strict=True)):
        words = keras_words(text)
        if len(words) != len(review):
            raise ValueError(f"Review {number} has {len(review)} ids and {len(words)} words: they do not match.")
        for rank, word in zip(review.tolist(), words, strict=True):
            if word_of.setdefault(rank, word) != word:
                raise ValueError(
                    f"Id {rank} means {word_of[rank]!r}, and in review {number} {word!r}: they do not match."
                )
    if len(set(word_of.values())) != len(word_of):
        raise ValueError("A word has several ids: the ids are not the words' ranks.")
    if word_of and max(word_of) != len(word_of):
        raise ValueError(
            f"The {len(word_of)} ids go up to {max(word_of)}, so they are not ranks; perhaps they are shifted by 3."
        )
    return tuple(word_of[rank] for rank in sorted(word_of))


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Decompresses one array's file, up to the size limit, whatever size it claims."""
    member = archive.getinfo(f"{name}.npy")
    if member.file_size > MEMBER_MAX_BYTES:
        raise ValueError(f"{name} decompresses to more than {MEMBER_MAX_BYTES} bytes.")
    with archive.open(member) as file:
        return file.read(member.file_size)  # no more than it claims; if it claims too little, the checksum fails


def _labels(content: bytes) -> Int[np.ndarray, "_"]:
    labels = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    if labels.ndim != 1 or not np.isin(labels, (0, 1)).all():
        raise ValueError("its labels are not all 0 or 1.")
    return labels.astype(np.uint8)
