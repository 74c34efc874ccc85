"""Own data at a path: which files or folders hold which split, and who reads them."""

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from experiments.imdb.reviews.own.class_folders import class_names, read_class_folders, text_files
from experiments.imdb.reviews.own.csv_file import read_csv
from experiments.imdb.reviews.own.json_lines import read_json_lines
from experiments.imdb.reviews.own.parquet import read_parquet
from experiments.imdb.reviews.own.row import Row

__all__ = ["READERS", "OwnData", "own_texts"]

READERS: MappingProxyType[str, Callable[[Path], Iterator[Row]]] = MappingProxyType(
    {".csv": read_csv, ".jsonl": read_json_lines, ".json": read_json_lines, ".parquet": read_parquet}
)
"""Suffix of a file -> its reader."""
_LONGEST_NAME = 40


@dataclass(frozen=True)
class OwnData:
    """A file of texts and labels; or a folder that holds train and, optionally, test.

    Each of these is a file, a folder with a sub-folder for each class, or a folder of files.
    """

    path: Path

    @cached_property
    def parts(self) -> dict[str, Path]:
        """The file or folder of each split.

        Raises:
            ValueError: there is no training split, or a split is there twice.
        """
        if not self.path.is_dir():
            return {"train": self.path}
        found = {split: part for split in ("train", "test") if (part := self._part(split)) is not None}
        if "train" not in found:
            raise ValueError(
                f"{self.path} has no training data. Put train.csv, train.jsonl or train.parquet there, or a folder "
                "train with such files or with a sub-folder for each class."
            )
        return found

    def _part(self, split: str) -> Path | None:
        folder = [self.path / split] if (self.path / split).is_dir() else []
        files = [file for suffix in READERS if (file := self.path / f"{split}{suffix}").exists()]
        if len(there := folder + files) > 1:
            names = " and ".join(each.name for each in there)
            raise ValueError(f"{self.path} has {names}: which one is the {split} split? Leave one of them there.")
        return there[0] if there else None

    @cached_property
    def name(self) -> str:
        """The name of the content, from the path, size and time of every file; it shows the name of the path."""
        sha256 = hashlib.sha256(str(self.path.resolve()).encode("utf-8", "surrogateescape"))
        for line in self._stats():
            sha256.update(b"\n" + line.encode("utf-8", "surrogateescape"))
        shown = re.sub(r"[^A-Za-z0-9]+", "-", self.path.resolve().stem)[:_LONGEST_NAME]
        return f"own-{shown}-{sha256.hexdigest()[:16]}"

    def _stats(self) -> Iterator[str]:
        for split, part in self.parts.items():
            for path in _files(part):
                stat = path.stat()
                yield f"{split} {path} {stat.st_size} {stat.st_mtime_ns}"

    def rows(self, split: str) -> Iterator[Row]:
        """Yields the rows of a split, one at a time.

        Raises:
            ValueError: a row can't be read; says where, and what to do.
        """
        part = self.parts[split]
        if part.is_dir() and not _tables(part):
            return read_class_folders(part)
        return chain.from_iterable(map(_read, _tables(part) if part.is_dir() else [part]))


def _read(path: Path) -> Iterator[Row]:
    if not path.is_file():  # reading a pipe would never end
        raise ValueError(f"{path} is not a file.")
    return READERS[path.suffix.lower()](path)


def _tables(folder: Path) -> list[Path]:
    """Returns the files of texts and labels in a folder, sorted by name; none if it has sub-folders of classes."""
    if class_names(folder):
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    return [folder / name for name in names if Path(name).suffix.lower() in READERS]


def _files(part: Path) -> Iterator[Path]:
    """Yields the paths of all files of a split."""
    if part.is_dir() and not (tables := _tables(part)):
        for label, names in text_files(part).items():
            yield from (part / label / name for name in names)
    else:
        yield from tables if part.is_dir() else [part]


def own_texts(source: OwnData, rows: Collection[int], split: str) -> list[str]:
    """Reads the texts of some rows of a split, in the order of `rows`.

    Raises:
        ValueError: the source can't be read, or has no such row any more.
    """
    wanted = {int(row) for row in rows}
    found = {number: row.text for number, row in enumerate(source.rows(split)) if number in wanted}
    if len(found) != len(wanted):
        raise ValueError(f"{source.path} has fewer texts than before.")
    return [found[int(row)] for row in rows]
