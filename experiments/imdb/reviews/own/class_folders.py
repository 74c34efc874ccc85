"""aclImdb's layout: a folder for each class, with a file for each text."""

import os
from collections.abc import Iterator
from pathlib import Path

from experiments.imdb.reviews.own.lines import decode_utf8
from experiments.imdb.reviews.own.row import TEXT_MAX_BYTES, Row, make_row, shown

__all__ = ["read_class_folders", "text_files"]

_UNLABELLED = "unsup"


def read_class_folders(path: Path) -> Iterator[Row]:
    """Yields the texts of a split, class by class, each class sorted by file name; a class is a sub-folder's name.

    Raises:
        ValueError: there are no classes, a class has no text, or a text can't be read; says which, and what to do.
    """
    for label, files in text_files(path).items():
        for entry in files:
            if not entry.is_file():  # reading a pipe would never end
                raise ValueError(f"{entry.path} is not a file. Remove it.")
            with Path(entry.path).open("rb") as file:
                content = file.read(TEXT_MAX_BYTES + 1)
            if len(content) > TEXT_MAX_BYTES:
                raise ValueError(f"{entry.path} has more than {TEXT_MAX_BYTES:,} bytes. Shorten it, or split it.")
            yield make_row(decode_utf8(content, entry.path), label, entry.path)


def text_files(path: Path) -> dict[str, list[os.DirEntry[str]]]:
    """Returns the .txt files of each class.

    Raises:
        ValueError: there are no classes, or a class has no text.
    """
    with os.scandir(path) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    found = {name: _texts(path / name) for name in folders if name != _UNLABELLED}
    if not found:
        raise ValueError(f"{path} has no sub-folders. Put the texts of each class into a sub-folder with its name.")
    if empty := [name for name, files in found.items() if not files]:
        raise ValueError(f"{path / empty[0]} has no .txt files. Put the texts of class {shown(empty[0])} there.")
    return found


def _texts(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if entry.name.endswith(".txt")), key=lambda entry: entry.name)
