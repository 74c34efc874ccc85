"""A folder that is written completely or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recurrent.training.atomic import sync_folder

__all__ = ["new_folder"]


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder that takes the place of `path` when the block ends, and is deleted when it raises.

    Raises:
        OSError: the folder can't be written; names `path`.
    """
    path = path.resolve()
    made = [parent for parent in path.parents if not parent.exists()]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process of this number that was killed
    try:
        try:
            temporary.mkdir(parents=True)
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            made = []
            sync_folder(path.parent)
        except OSError as error:
            if error.errno is None:  # of a library that writes by itself
                raise OSError(f"{path} can't be written: {error}") from error
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()


def _sync(folder: Path) -> None:
    """Waits until all files below a folder are on disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with Path(parent, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(parent))
