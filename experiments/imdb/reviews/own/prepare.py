"""Own data as ids: read from disk if they are there and intact, else from the texts, which are read twice."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock

from experiments.imdb.reviews.own.scan import Scan, report_rows, scan
from experiments.imdb.reviews.own.source import OwnData
from experiments.imdb.reviews.own.store import Stored, load, write_array, write_description, write_ids
from experiments.imdb.reviews.source import OnProgress, ignore_progress
from experiments.imdb.vocabulary import uncut_ids

__all__ = ["prepare"]


def prepare(source: OwnData, data_dir: Path, on_progress: OnProgress = ignore_progress) -> Stored:
    """Returns the ids of own data, prepared in `data_dir` first if necessary.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: it can't be read, or its classes can't be trained on; says where, and what to do.
    """
    folder = data_dir / "encoded" / source.name
    if (stored := load(folder)) is not None:
        return stored
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_suffix(".lock")):
        stored = load(folder)  # another process may have made it while this one waited
        if stored is None:
            scanned = scan(source, on_progress)
            try:
                _encode(source, folder, scanned, on_progress)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            stored = load(folder)
    if stored is None:
        raise ValueError(f"{folder} was changed while it was written. Start again.")
    return stored


def _encode(source: OwnData, folder: Path, scanned: Scan, on_progress: OnProgress) -> None:
    folder.mkdir(exist_ok=True)
    ranks = {word: number for number, word in enumerate(scanned.words, start=1)}
    for split, found in scanned.splits.items():
        write_ids(folder, split, _ids(source, split, ranks, len(found.labels), on_progress))
        write_array(folder, split, "labels", found.labels)
        write_array(folder, split, "digests", found.digests)
    if OwnData(source.path).name != source.name:
        raise ValueError(f"{source.path} was changed while it was read. Start again.")
    write_description(folder, scanned.words, scanned.classes, scanned.splits)


def _ids(
    source: OwnData, split: str, ranks: Mapping[str, int], total: int, on_progress: OnProgress
) -> Iterator[list[int]]:
    for row in report_rows(source.rows(split), f"encoding {split}", on_progress, total):
        yield uncut_ids(ranks, row.text)
