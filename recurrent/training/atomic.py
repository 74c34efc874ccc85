"""Files that are written completely or not at all, however the process ends."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["replacing", "sync_folder", "unfinished", "write_text"]


_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Errors of writing, whose OSError names no file."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yields a new file that replaces `path` when the block ends, and is deleted when the block raises."""
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
            raise OSError(error.errno, error.strerror, str(path)) from error  # the name that the user knows
        raise
    finally:
        with suppress(OSError):  # it is gone already; or it can't be removed, and then the first error says more
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Replaces a text file. A reader finds the old or the new content, also after a kill."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def unfinished(folder: Path) -> list[Path]:
    """Lists the files that `replacing` left in a folder when it was killed."""
    return sorted(folder.glob(".*.tmp"))


def sync_folder(folder: Path) -> None:
    """Waits until a rename in a folder is on disk. Windows, where folders can't be opened, does so itself."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
