"""The reviews prepared once as a data set on disk, and read back from there.

TFDS prepares in a folder of another name and renames it, so what was interrupted is never taken for a data set; a lock
keeps two processes from preparing the same one; hashes written beside the data say whether it is still what it was.
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

_BLOCK = 1000  # reviews between two reports


def read(source: Source, data_dir: Path, on_progress: OnProgress = ignore_progress) -> dict[str, list[Review]]:
    """Reads the reviews of each split of a source, in Keras' stored order; prepares them first where that was not done.

    Raises:
        FileNotFoundError: the source is not there.
        ValueError: the source, or what was prepared from it, is damaged.
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
        for interrupted in folder.glob("incomplete.*"):  # under the lock nobody is at work on them
            shutil.rmtree(interrupted)
        try:
            # Does nothing when another process, for which the lock made us wait, has prepared the data set.
            Builder(source=source, data_dir=data_dir, on_progress=on_progress).download_and_prepare()
        except Exception as error:  # array_record has no kind of its own for a full disk
            if (full := os.strerror(errno.ENOSPC)) in str(error):
                raise OSError(errno.ENOSPC, full, str(data_dir)) from error
            raise


def _read_prepared(source: Source, data_dir: Path, on_progress: OnProgress) -> dict[str, list[Review]]:
    try:
        builder = Builder(source=source, data_dir=data_dir)
        splits = {split: _read_split(builder, split, on_progress) for split in builder.info.splits}
        found, expected = {split: digest(reviews) for split, reviews in splits.items()}, dict(builder.info.metadata)
    except Exception as error:  # TFDS and array_record raise many kinds; each means that the data can't be read
        raise _damaged(source, data_dir, str(error)) from error
    if not found or found != expected:
        raise _damaged(source, data_dir, "its texts or labels are not those that were prepared")
    return splits


def _read_split(builder: Builder, split: str, on_progress: OnProgress) -> list[Review]:
    rows = builder.as_data_source(split)
    reviews: list[Review] = []
    while len(reviews) < len(rows):
        block = rows.__getitems__(list(range(len(reviews), min(len(reviews) + _BLOCK, len(rows)))))
        reviews += [Review(row["text"].decode("utf-8"), int(row["label"])) for row in block]
        on_progress(f"reading back {split}", len(reviews), len(rows))
    return reviews


def _damaged(source: Source, data_dir: Path, why: str) -> ValueError:
    folder = data_dir / Builder.name / source.name
    return ValueError(f"The prepared reviews in {folder} are damaged ({why}): delete that folder and start again.")


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps TFDS' own bars and warnings off the terminal, where a caller's progress is shown."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        yield
    finally:
        tfds.enable_progress_bar()
        logger.setLevel(level)
