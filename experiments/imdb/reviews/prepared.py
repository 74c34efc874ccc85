"""The reviews as a prepared data set on disk.

TFDS prepares in a folder of another name and renames it, so an interrupted preparation is never used. A lock stops two
processes from preparing the same data set. Hashes written beside the data show whether it has changed.
"""

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import tensorflow_datasets as tfds

from experiments.imdb.reviews.builder import Builder, digest
from experiments.imdb.reviews.source import OnProgress, Review, Source, ignore_progress

__all__ = ["read"]

_BLOCK = 1000  # reviews between two progress reports


def read(source: Source, data_dir: Path, on_progress: OnProgress = ignore_progress) -> dict[str, list[Review]]:
    """Returns the reviews of each split of a source, in Keras' stored order; prepares them first if necessary.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: the source, or the prepared data set, is corrupt.
    """
    data_dir = data_dir.absolute()
    with _silence():
        _prepare(source, data_dir, on_progress)
        return _read_prepared(source, data_dir, on_progress)


def _prepare(source: Source, data_dir: Path, on_progress: OnProgress) -> None:
    folder = data_dir / Builder.name / source.name
    if (folder / str(Builder.VERSION)).exists():
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(data_dir / f"{source.name}.lock"):
        for interrupted in folder.glob("incomplete.*"):  # under the lock, no process is using them
            shutil.rmtree(interrupted)
        try:
            # Does nothing if another process has prepared the data set while this one waited for the lock.
            Builder(source=source, data_dir=data_dir, on_progress=on_progress).download_and_prepare()
        except Exception as error:  # array_record has no exception of its own for a full disk
            if (full := os.strerror(errno.ENOSPC)) in str(error):
                raise OSError(errno.ENOSPC, full, str(data_dir)) from error
            raise


def _read_prepared(source: Source, data_dir: Path, on_progress: OnProgress) -> dict[str, list[Review]]:
    try:
        builder = Builder(source=source, data_dir=data_dir)
        splits = {split: _read_split(builder, split, on_progress) for split in builder.info.splits}
        found, expected = {split: digest(reviews) for split, reviews in splits.items()}, dict(builder.info.metadata)
    except Exception as error:  # TFDS and array_record raise many kinds, all because the data can't be read
        raise _corrupt(source, data_dir, str(error)) from error
    if not found or found != expected:
        raise _corrupt(source, data_dir, "its texts or labels have changed")
    return splits


def _read_split(builder: Builder, split: str, on_progress: OnProgress) -> list[Review]:
    rows = builder.as_data_source(split)
    reviews: list[Review] = []
    while len(reviews) < len(rows):
        block = rows.__getitems__(list(range(len(reviews), min(len(reviews) + _BLOCK, len(rows)))))
        reviews += [Review(row["text"].decode("utf-8"), int(row["label"])) for row in block]
        on_progress(f"reading back {split}", len(reviews), len(rows))
    return reviews


def _corrupt(source: Source, data_dir: Path, why: str) -> ValueError:
    folder = data_dir / Builder.name / source.name
    return ValueError(f"The prepared reviews in {folder} are corrupt ({why}): delete that folder and start again.")


@contextmanager
def _silence() -> Iterator[None]:
    """Suppresses TFDS' own progress bars and warnings, since the caller shows progress."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()
        logger.setLevel(level)
