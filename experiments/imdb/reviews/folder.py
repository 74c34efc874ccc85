"""The unpacked archive of reviews: a folder with one file per review."""

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from experiments.imdb.reviews.source import (
    REVIEW_MAX_BYTES,
    REVIEWS_PER_LABEL,
    OnProgress,
    Review,
    decode,
    ignore_progress,
    in_order,
)

__all__ = ["Folder", "is_acl_imdb"]

_FILE = re.compile(r"[0-9]{1,6}_[0-9]{1,2}\.txt")
_PARTS = ("train/pos", "train/neg", "test/pos", "test/neg")


def is_acl_imdb(path: Path) -> bool:
    """Says whether a folder is the unpacked archive, perhaps incomplete; if not, it may hold own data.

    The archive has a list of words beside the reviews; a copy without it has the archive's number of reviews.
    """
    if (path / "imdb.vocab").is_file():
        return True
    return all((path / part).is_dir() and _count(path / part) == REVIEWS_PER_LABEL for part in _PARTS)


def _count(folder: Path) -> int:
    with os.scandir(folder) as found:
        return sum(_FILE.fullmatch(entry.name) is not None for entry in found)


@dataclass(frozen=True)
class Folder:
    """An unpacked aclImdb folder."""

    path: Path
    num_per_label: int = REVIEWS_PER_LABEL

    @cached_property
    def name(self) -> str:
        """The name of the content, from the path of the folder and the name, size and time of every file."""
        stats = sorted((name, entry.stat()) for name, entry in self._entries().items())
        lines = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
        return "folder-" + hashlib.sha256("\n".join([str(self.path.resolve()), *lines]).encode()).hexdigest()[:16]

    def read(self, on_progress: OnProgress = ignore_progress) -> dict[str, list[Review]]:
        """Reads both splits."""
        texts: dict[str, str] = {}
        for name, entry in self._entries().items():
            if not entry.is_file():  # reading a pipe would never end
                raise ValueError(f"{entry.path} is not a file: pass the path of a complete, unpacked aclImdb folder.")
            with Path(entry).open("rb") as file:
                texts[name] = decode(file.read(REVIEW_MAX_BYTES + 1), entry.path)
            if len(texts) % 1000 == 0:
                on_progress("reading the folder", len(texts), 4 * self.num_per_label)
        return in_order(texts, self.num_per_label, self.path)

    def _entries(self) -> dict[str, os.DirEntry[str]]:
        """Returns the directory entries of the reviews by name (train/pos/0_9.txt)."""
        entries: dict[str, os.DirEntry[str]] = {}
        for part in _PARTS:
            folder = self.path / part
            if not folder.is_dir():
                raise FileNotFoundError(
                    f"{folder} does not exist: pass the path of a complete, unpacked aclImdb folder."
                )
            with os.scandir(folder) as found:
                entries |= {f"{part}/{entry.name}": entry for entry in found if _FILE.fullmatch(entry.name)}
        return entries
