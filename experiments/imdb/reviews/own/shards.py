"""Reviews as ids in files of bounded size, the shards of a split, and reading them by number.

Each review has a CRC-32, which is compared whenever it is read. So a corrupt file of any size is noticed without being
read whole.
"""

import contextlib
import io
import os
import threading
import weakref
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt

from experiments.imdb.reviews.own.spill import Block

__all__ = ["ID", "CorruptShardError", "StoredIds", "Written", "shard_path", "write_shards"]

ID = np.dtype("<i4")
SHARD_IDS = 1 << 23
"""Ids after which a new shard begins: 32 MiB."""
_MAX_OPEN = 128


class CorruptShardError(ValueError):
    """A shard is missing, can't be read, or holds a review that is corrupt."""


class Written(NamedTuple):
    """What describes the reviews that were written."""

    lengths: Int[np.ndarray, "reviews"]  # ids of each review
    checks: UInt[np.ndarray, "reviews"]  # CRC-32 of each review's ids
    shards: Int[np.ndarray, "shards"]  # reviews in each shard


def shard_path(folder: Path, split: str, number: int) -> Path:
    """Returns the file of a shard."""
    return folder / f"{split}-{number:05}.ids"


def write_shards(folder: Path, split: str, blocks: Iterable[Block]) -> Written:
    """Writes blocks of reviews; the block that fills a shard is its last one."""
    lengths, checks, shards = [np.zeros(0, np.int32)], [np.zeros(0, np.uint32)], [0]
    file, size = shard_path(folder, split, 0).open("wb"), 0
    try:
        for block in blocks:
            if size >= SHARD_IDS:
                file.close()
                file, size = shard_path(folder, split, len(shards)).open("wb"), 0
                shards.append(0)
            content = block.ids.astype(ID).tobytes()
            file.write(content)
            size += len(block.ids)
            shards[-1] += len(block.lengths)
            lengths.append(block.lengths)
            checks.append(_checks(content, block.lengths))
    finally:
        file.close()
    return Written(np.concatenate(lengths), np.concatenate(checks), np.array(shards, np.int64))


def _checks(content: bytes, lengths: Int[np.ndarray, "reviews"]) -> UInt[np.ndarray, "reviews"]:
    view, found, start = memoryview(content), [], 0
    for length in (ID.itemsize * lengths).tolist():
        found.append(zlib.crc32(view[start : start + length]))
        start += length
    return np.array(found, np.uint32)


class StoredIds(Sequence[Int[np.ndarray, "_"]]):
    """The reviews of a split, each of which is read from its shard when it is asked for."""

    def __init__(self, folder: Path, split: str, written: Written) -> None:
        """Opens nothing yet."""
        self.lengths = written.lengths
        self.folder, self._split, self._checks = folder, split, written.checks
        self._first = np.concatenate([[0], np.cumsum(written.shards)])  # review of each shard
        ends = np.concatenate([[0], np.cumsum(written.lengths, dtype=np.int64)]) * ID.itemsize
        self._starts, self._origins = ends[:-1], ends[self._first[:-1]]
        self.sizes = np.diff(ends[self._first])  # bytes of each shard
        self._open: dict[int, io.FileIO] = {}
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._open)

    def __len__(self) -> int:
        """Returns the number of reviews."""
        return len(self.lengths)

    def __getitem__(self, row: Any) -> Any:
        """Reads a review."""
        return self.read([row])[0]

    def read(self, rows: Sequence[int] | Int[np.ndarray, "rows"]) -> list[Int[np.ndarray, "_"]]:
        """Reads reviews, in the order asked for.

        Raises:
            CorruptShardError: a shard is missing or can't be read, or a review is corrupt; names the file.
        """
        ids = self.joined(rows)
        ends = np.cumsum(self.lengths[np.asarray(rows, np.int64)], dtype=np.int64).tolist()
        return [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def joined(self, rows: Sequence[int] | Int[np.ndarray, "rows"]) -> Int[np.ndarray, "ids"]:
        """Reads reviews, one after the other, into one array."""
        rows = np.asarray(rows, np.int64)
        shards = np.searchsorted(self._first, rows, side="right") - 1
        offsets = (self._starts[rows] - self._origins[shards]).tolist()
        sizes = (self.lengths[rows].astype(np.int64) * ID.itemsize).tolist()
        ids = np.empty(sum(sizes) // ID.itemsize, ID)
        view, start = ids.view(np.uint8).data, 0
        wanted = list(zip(shards.tolist(), offsets, sizes, strict=True))
        with self._lock:  # no other thread moves or closes a file in between
            self._announce(wanted)
            for row, (shard, offset, size), check in zip(rows, wanted, self._checks[rows].tolist(), strict=True):
                part = view[start : start + size]
                if self._read_into(part, shard, offset) != size or zlib.crc32(part) != check:
                    raise self._broken(shard, f"review {row - self._first[shard]} of it is corrupt")
                start += size
        return ids

    def _announce(self, wanted: Sequence[tuple[int, int, int]]) -> None:
        """Lets the system read all at once, which is faster than one by one where they are not in its memory yet."""
        if len(wanted) > 1 and hasattr(os, "posix_fadvise"):
            for shard, offset, size in wanted:
                with contextlib.suppress(OSError):  # reading it names the shard
                    os.posix_fadvise(self._file(shard).fileno(), offset, size, os.POSIX_FADV_WILLNEED)

    def _read_into(self, part: memoryview, shard: int, offset: int) -> int | None:
        file = self._file(shard)
        try:
            file.seek(offset)
            return file.readinto(part)
        except OSError as error:
            raise self._broken(shard, f"it can't be read ({error.strerror})") from error

    def _file(self, shard: int) -> io.FileIO:
        if shard not in self._open:
            if len(self._open) >= _MAX_OPEN:
                self._open.pop(next(iter(self._open))).close()
            try:
                self._open[shard] = io.FileIO(shard_path(self.folder, self._split, shard))
            except OSError as error:
                raise self._broken(shard, f"it can't be read ({error.strerror})") from error
        return self._open[shard]

    def _broken(self, shard: int, why: str) -> CorruptShardError:
        path = shard_path(self.folder, self._split, shard)
        return CorruptShardError(
            f"{path}: {why}. Delete {self.folder} and start again: the reviews are prepared again."
        )


def _close_all(files: dict[int, io.FileIO]) -> None:
    while files:
        files.popitem()[1].close()
