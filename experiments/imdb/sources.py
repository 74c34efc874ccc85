"""Where raw reviews come from. Every source gives its splits in Keras' stored order: pos, then neg, each by file name.

That order decides, through Keras' shuffle, which 5,000 reviews are the validation set, so all sources share it.
The reviews are those of Maas et al. (2011), "Learning Word Vectors for Sentiment Analysis".
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

__all__ = [
    "REVIEWS_PER_LABEL", "REVIEW_MAX_BYTES", "Folder", "OnProgress", "Review", "Source", "check_sha256", "decode",
    "ignore_progress", "in_order",
]  # fmt: skip

REVIEWS_PER_LABEL = 12_500  # in each split
REVIEW_MAX_BYTES = 1 << 20  # the longest real one has 13,704 characters
_FILE = re.compile(r"[0-9]{1,6}_[0-9]{1,2}\.txt")

OnProgress = Callable[[str, int, int], None]
"""Hears (what is being done, how much of it is done, how much there is)."""


def ignore_progress(what: str, done: int, total: int) -> None:
    """Hears progress and does nothing."""


class Review(NamedTuple):
    """A review, and whether it praises the film (1) or not (0)."""

    text: str
    label: int


class Source(Protocol):
    """Anything that reviews can be read from."""

    @property
    def name(self) -> str:
        """Names the content: another content has another name."""
        ...

    def read(self, on_progress: OnProgress = ignore_progress) -> dict[str, list[Review]]:
        """Reads the reviews of each split, in Keras' stored order.

        Raises:
            FileNotFoundError: there is nothing to read.
            ValueError: what is there is damaged or incomplete.
        """
        ...


@dataclass(frozen=True)
class Folder:
    """An unpacked aclImdb folder."""

    path: Path
    num_per_label: int = REVIEWS_PER_LABEL

    @cached_property
    def name(self) -> str:
        """Names the content, by the place of the folder and the name, size and time of every file."""
        stats = sorted((name, entry.stat()) for name, entry in self._entries().items())
        lines = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
        return "folder-" + hashlib.sha256("\n".join([str(self.path.resolve()), *lines]).encode()).hexdigest()[:16]

    def read(self, on_progress: OnProgress = ignore_progress) -> dict[str, list[Review]]:
        """Reads both splits."""
        texts: dict[str, str] = {}
        for name, entry in self._entries().items():
            if not entry.is_file():  # a pipe would never end
                raise ValueError(f"{entry.path} is no file: give the path of a whole unpacked aclImdb folder.")
            with Path(entry).open("rb") as file:
                texts[name] = decode(file.read(REVIEW_MAX_BYTES + 1), entry.path)
            if len(texts) % 1000 == 0:
                on_progress("reading the folder", len(texts), 4 * self.num_per_label)
        return in_order(texts, self.num_per_label, self.path)

    def _entries(self) -> dict[str, os.DirEntry[str]]:
        """Lists the reviews by name (train/pos/0_9.txt), with what the system says of them."""
        entries: dict[str, os.DirEntry[str]] = {}
        for part in ("train/pos", "train/neg", "test/pos", "test/neg"):
            folder = self.path / part
            if not folder.is_dir():
                raise FileNotFoundError(f"{folder} is not there: give the path of a whole unpacked aclImdb folder.")
            with os.scandir(folder) as found:
                entries |= {f"{part}/{entry.name}": entry for entry in found if _FILE.fullmatch(entry.name)}
        return entries


def decode(content: bytes, name: str) -> str:
    """Decodes a review.

    Raises:
        ValueError: it is too long for one, or not UTF-8.
    """
    if len(content) > REVIEW_MAX_BYTES:
        raise ValueError(f"{name} has more than {REVIEW_MAX_BYTES} bytes: it is no review.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is damaged: it is not UTF-8 ({error}).") from error


def in_order(texts: Mapping[str, str], num_per_label: int, path: Path) -> dict[str, list[Review]]:
    """Puts reviews by name (train/pos/0_9.txt) into Keras' stored order.

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
    """Compares a file's hash with the one it must have.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there. {remedy}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"{path} is not the file expected: its sha256 is {found} instead of {sha256}. {remedy}")
