"""Own data as ids: read from disk if they are there and intact, else from the texts, which are read once."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

from experiments.imdb.reviews.own.scan import Scan, scan
from experiments.imdb.reviews.own.source import OwnData
from experiments.imdb.reviews.own.spill import Block
from experiments.imdb.reviews.own.store import Stored, load, write_array, write_blocks, write_description
from experiments.imdb.reviews.source import OnProgress, ignore_progress

__all__ = ["prepare"]


def prepare(
    source: OwnData, data_dir: Path, on_progress: OnProgress = ignore_progress, is_whole: bool = True
) -> Stored:
    """Returns the ids of own data, prepared in `data_dir` first if necessary.

    They are written into another folder, which gets its name when it is complete: so nothing half done is used.

    Args:
        source: the texts.
        data_dir: the folder of prepared reviews.
        on_progress: called with what is done.
        is_whole: verifies all of what is there; if not, each review is verified when it is read.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: it can't be read, or its classes can't be trained on; says where, and what to do.
        OSError: the disk is full.
    """
    folder = data_dir / "encoded" / source.name
    if (stored := load(folder, is_whole)) is not None:
        return stored
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_suffix(".lock")):
        stored = load(folder, is_whole)  # another process may have made it while this one waited
        if stored is None:
            _make(source, folder, on_progress)
            stored = load(folder, is_whole)
    if stored is None:
        raise ValueError(f"{folder} was changed while it was written. Start again.")
    return stored


def _make(source: OwnData, folder: Path, on_progress: OnProgress) -> None:
    incomplete = folder.with_suffix(".incomplete")
    shutil.rmtree(incomplete, ignore_errors=True)  # of a process that was killed
    incomplete.mkdir()
    try:
        _write(source, incomplete, on_progress)
        shutil.rmtree(folder, ignore_errors=True)  # corrupt, or of another version
        incomplete.rename(folder)
    except OSError as error:
        if error.errno is not None and error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
            raise OSError(error.errno, os.strerror(error.errno), str(folder)) from error
        raise
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)


def _write(source: OwnData, folder: Path, on_progress: OnProgress) -> None:
    scanned = scan(source, folder, on_progress)
    write_blocks(folder, "train", _encoded(scanned, on_progress))
    for split, found in scanned.splits.items():
        write_array(folder, split, "labels", found.labels)
        write_array(folder, split, "digests", found.digests)
    if OwnData(source.path).name != source.name:
        raise ValueError(f"{source.path} was changed while it was read. Start again.")
    write_description(folder, scanned.words, scanned.classes, scanned.splits)


def _encoded(scanned: Scan, on_progress: OnProgress) -> Iterator[Block]:
    total, done = len(scanned.splits["train"].labels), 0
    for block in scanned.spill.blocks(scanned.tables):
        on_progress("encoding train", done, total)
        done += len(block.lengths)
        yield block
