"""Arrays that are computed from all reviews of own data, kept beside their ids, so that a later start need not."""

import contextlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np

__all__ = ["Arrays", "kept"]

Arrays = dict[str, np.ndarray]


def kept(path: Path, compute: Callable[[], Arrays]) -> Arrays:
    """Returns the arrays of a file, or computes and keeps them. Of several processes, one computes and others wait.

    Args:
        path: of the file. One that is corrupt is written again.
        compute: returns the arrays.
    """
    if (found := _read(path)) is not None:
        return found
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a folder that can't be written to: computed each time
            stack.enter_context(filelock.FileLock(path.with_suffix(".lock")))
        found = _read(path)  # another process may have made it while this one waited
        if found is None:
            found = compute()
            with contextlib.suppress(OSError):
                _write(path, found)
    return found


def _read(path: Path) -> Arrays | None:
    """Reads arrays, which have checksums; returns None if the file is missing or corrupt."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, arrays: Arrays) -> None:
    from recurrent.training.atomic import replacing  # here, since it imports JAX

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # pyrefly: ignore[bad-argument-type]
    with replacing(path) as file:
        file.write(buffer.getvalue())
