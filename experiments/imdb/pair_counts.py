"""How many reviews contain each pair: counted in memory up to a limit, and beyond it in sorted files."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt

__all__ = ["Counted", "PairCounts"]

_MOST = 1 << 22
"""Pairs in memory: about 250 MB while they are sorted."""
_CODE, _TIMES = np.dtype("<u8"), np.dtype("<u4")


class Counted(NamedTuple):
    """Pairs as numbers of 64 bits, ascending and each once, and how many reviews contain them."""

    codes: UInt[np.ndarray, "pairs"]
    times: Int[np.ndarray, "pairs"]


class PairCounts:
    """Counts of pairs that are added piece by piece. Its files are gone after its `with`."""

    def __init__(self, folder: Path | None = None) -> None:
        """Begins without pairs.

        Args:
            folder: of the files; one for temporary files by default.
        """
        self._folder = folder
        self._waiting: list[Counted] = []
        self._num_waiting = 0
        self._runs: list[_Run] = []
        self._files = contextlib.ExitStack()

    def __enter__(self) -> "PairCounts":
        """Returns itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Removes the files."""
        self._files.close()

    def add(self, codes: UInt[np.ndarray, "pairs"]) -> None:
        """Adds the pairs of some reviews, each as often as reviews contain it."""
        found, times = np.unique(codes, return_counts=True)
        self._waiting.append(Counted(found, times.astype(_TIMES)))
        self._num_waiting += len(found)
        if self._num_waiting >= _MOST:
            self._merge()
            if self._num_waiting > _MOST // 2:
                self._write()

    def blocks(self) -> Iterator[Counted]:
        """Yields all pairs, ascending, some at a time."""
        self._merge()
        if not self._runs:
            yield from self._waiting
            return
        self._write()
        yield from _merged_runs(self._runs)

    def _merge(self) -> None:
        self._waiting = [_sum(self._waiting)]
        self._num_waiting = len(self._waiting[0].codes)

    def _write(self) -> None:
        if not self._runs:
            self._make_folder()
        assert self._folder is not None  # made above
        run = _Run(self._folder, len(self._runs), self._num_waiting)
        run.write(self._waiting[0])
        self._runs.append(run)
        self._waiting, self._num_waiting = [], 0

    def _make_folder(self) -> None:
        try:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)  # of a process that was killed
                self._folder.mkdir(parents=True)
        except OSError:  # it can't be written to
            self._folder = None
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="pairs-"))
        self._files.callback(shutil.rmtree, self._folder, ignore_errors=True)


class _Run(NamedTuple):
    """A file of codes and one of times."""

    folder: Path
    number: int
    size: int

    def write(self, counted: Counted) -> None:
        counted.codes.astype(_CODE).tofile(self._path("codes"))
        counted.times.astype(_TIMES).tofile(self._path("times"))

    def read(self, start: int, count: int) -> Counted:
        """Reads some pairs."""
        codes = np.fromfile(self._path("codes"), _CODE, count, offset=start * _CODE.itemsize)
        return Counted(codes, np.fromfile(self._path("times"), _TIMES, len(codes), offset=start * _TIMES.itemsize))

    def _path(self, field: str) -> Path:
        return self.folder / f"{self.number:05}.{field}"


def _merged_runs(runs: list[_Run]) -> Iterator[Counted]:
    """Reads a piece of each run at a time, and yields what no later piece can hold."""
    size = max(1, _MOST // (2 * len(runs)))
    starts = [0] * len(runs)
    while True:
        pieces = [run.read(start, size) for run, start in zip(runs, starts, strict=True)]
        ends = [
            piece.codes[-1] for piece, run, start in zip(pieces, runs, starts, strict=True) if start + size < run.size
        ]
        limit = min(ends, default=None)
        counts = [len(each.codes) if limit is None else np.searchsorted(each.codes, limit, "right") for each in pieces]
        yield _sum(
            [Counted(each.codes[:count], each.times[:count]) for each, count in zip(pieces, counts, strict=True)]
        )
        if limit is None:
            return
        starts = [start + int(count) for start, count in zip(starts, counts, strict=True)]


def _sum(parts: Iterable[Counted]) -> Counted:
    """Joins counts and adds those of the same pair."""
    parts = list(parts)
    if not parts:
        return Counted(np.zeros(0, _CODE), np.zeros(0, np.int64))
    codes, times = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    first = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]])[: len(codes)])
    summed = np.add.reduceat(times[order], first, dtype=np.int64) if len(first) else np.zeros(0, np.int64)
    return Counted(codes[first], summed)
