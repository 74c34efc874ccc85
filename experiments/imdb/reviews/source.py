"""The sources of reviews. Every source returns its splits in Keras' stored order: pos, then neg, each by file name.

Through Keras' shuffle, that order decides which 5,000 reviews are the validation set, so all sources share it.
The reviews are those of Maas et al. (2011), "Learning Word Vectors for Sentiment Analysis".
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

__all__ = [
    "IMDB_CLASSES", "REVIEWS_PER_LABEL", "REVIEW_MAX_BYTES", "OnProgress", "Review", "Source", "check_sha256", "decode",
    "ignore_progress", "in_order",
]  # fmt: skip

IMDB_CLASSES = ("negative", "positive")
"""Classes of the IMDB reviews, by label."""
REVIEWS_PER_LABEL = 12_500  # in each split
REVIEW_MAX_BYTES = 1 << 20  # the longest real one has 13,704 characters
OnProgress = Callable[[str, int, int], None]
"""Called with (what is being done, how much of it is done, the total)."""


def ignore_progress(what: str, done: int, total: int) -> None:
    """Does nothing: the default `OnProgress`."""


class Review(NamedTuple):
    """A review, and its label: 1 for positive, 0 for negative."""

    text: str
    label: int


class Source(Protocol):
    """Anything that reviews can be read from."""

    @property
    def name(self) -> str:
        """The name of the content; different content has a different name."""
        ...

    def read(self, on_progress: OnProgress = ignore_progress) -> dict[str, list[Review]]:
        """Reads the reviews of each split, in Keras' stored order.

        Raises:
            FileNotFoundError: there is no such file or folder.
            ValueError: it is corrupt or incomplete.
        """
        ...


def decode(content: bytes, name: str) -> str:
    """Decodes a review.

    Raises:
        ValueError: it is too long, or not UTF-8.
    """
    if len(content) > REVIEW_MAX_BYTES:
        raise ValueError(f"{name} has more than {REVIEW_MAX_BYTES} bytes: it is not a review.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is corrupt: it is not UTF-8 ({error}).") from error


def in_order(texts: Mapping[str, str], num_per_label: int, path: Path) -> dict[str, list[Review]]:
    """Returns reviews in Keras' stored order, from texts by name (train/pos/0_9.txt).

    Raises:
        ValueError: some are missing, or there are too many.
    """
    splits: dict[str, list[Review]] = {"train": [], "test": []}
    for split, reviews in splits.items():
        for label in ("pos", "neg"):
            names = sorted(name for name in texts if name.startswith(f"{split}/{label}/"))
            if len(names) != num_per_label:
                raise ValueError(f"{path} holds {len(names)} reviews in {split}/{label} instead of {num_per_label}.")
            reviews += [Review(texts[name], int(label == "pos")) for name in names]
    return splits


def check_sha256(path: Path, sha256: str, remedy: str) -> None:
    """Verifies a file's hash.

    Raises:
        FileNotFoundError: there is no such file; the message ends with `remedy`.
        ValueError: the hash differs; the message ends with `remedy`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. {remedy}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"{path} is not the expected file: its sha256 is {found} instead of {sha256}. {remedy}")
