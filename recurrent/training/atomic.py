"""Files that are there whole or not at all, however the writing ends."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["replacing", "sync_folder", "unfinished", "write_text"]


_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Errors of writing, which name no file."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yields a new file that takes the place of `path` when the block ends, and vanishes when the block raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if error.filename == str(temporary) or (error.filename is None and error.errno in _OF_WRITING):
            raise OSError(error.errno, error.strerror, str(path)) from error  # the name that a person knows
        raise
    finally:
        with suppress(OSError):  # there is none; and where it can't be removed, what came first says more
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that a reader, or a kill, finds the old one or the new one and nothing between."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def unfinished(folder: Path) -> list[Path]:
    """Lists what `replacing` left in a folder when it was killed."""
    return sorted(folder.glob(".*.tmp"))


def sync_folder(folder: Path) -> None:
    """Puts a rename on disk too; where folders can't be opened (Windows), the system sees to it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
