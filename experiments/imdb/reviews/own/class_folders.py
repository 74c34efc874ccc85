"""aclImdb's layout: a folder for each class, with a file for each text."""

import os
from collections.abc import Iterator
from pathlib import Path

from experiments.imdb.reviews.own.lines import decode_utf8
from experiments.imdb.reviews.own.row import TEXT_MAX_BYTES, Row, make_row, shown

__all__ = ["class_names", "read_class_folders", "text_files"]

_UNLABELLED = "unsup"


def read_class_folders(path: Path) -> Iterator[Row]:
    """Yields the texts of a split, class by class, each class sorted by file name; a class is a sub-folder's name.

    Raises:
        ValueError: there are no classes, a class has no text, or a text can't be read; says which, and what to do.
    """
    for label, files in text_files(path).items():
        for name in files:
            file = path / label / name
            if not file.is_file():  # reading a pipe would never end
                raise ValueError(f"{file} is not a file. Remove it.")
            with file.open("rb") as opened:
                content = opened.read(TEXT_MAX_BYTES + 1)
            if len(content) > TEXT_MAX_BYTES:
                raise ValueError(f"{file} has more than {TEXT_MAX_BYTES:,} bytes. Shorten it, or split it.")
            yield make_row(decode_utf8(content, str(file)), label, str(file))


def class_names(path: Path) -> list[str]:
    """Returns the names of the sub-folders that are classes, sorted."""
    with os.scandir(path) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return [name for name in folders if name != _UNLABELLED]


def text_files(path: Path) -> dict[str, list[str]]:
    """Returns the names of the .txt files of each class, sorted.

    Raises:
        ValueError: there are no classes, or a class has no text.
    """
    found = {name: _texts(path / name) for name in class_names(path)}
    if not found:
        raise ValueError(f"{path} has no sub-folders. Put the texts of each class into a sub-folder with its name.")
    if empty := [name for name, files in found.items() if not files]:
        raise ValueError(f"{path / empty[0]} has no .txt files. Put the texts of class {shown(empty[0])} there.")
    return found


def _texts(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.endswith(".txt"))
