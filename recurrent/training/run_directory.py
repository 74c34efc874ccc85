"""The folder of a run, held under a lock: who may write there, what is there, and where a resume goes on.

    run.lock · records.jsonl · timings.jsonl · checkpoints/latest/<step>/ · checkpoints/best/<step>/

An experiment keeps its own descriptions (recipe, vocabulary, manifest) beside them.
"""

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock

from recurrent.training.checkpoint import Checkpoints
from recurrent.training.records import Record, Timing, append_line, best, read_lines, write_lines
from recurrent.training.state import TrainState

__all__ = ["RunDirectory"]


class RunDirectory:
    """A context manager; inside it, no other process can open the same folder.

    Raises:
        OSError: the folder can't be made or written.
        RuntimeError: another process has it open.
    """

    def __init__(self, path: Path, keep: int = 3) -> None:
        """Describes the folder; nothing is touched before `with`.

        Args:
            keep: how many of the latest checkpoints to keep.
        """
        self.path = path
        self._keep = keep
        self._lock = filelock.FileLock(path / "run.lock")

    def __enter__(self) -> Self:
        """Takes the lock, which the kernel gives back however the process ends, and opens the checkpoints."""
        self.path.mkdir(parents=True, exist_ok=True)
        holder = self.path / "run.holder"
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            who = holder.read_text(encoding="utf-8").strip() if holder.exists() else "another process"
            raise RuntimeError(f"{self.path} is being written by {who}; wait for it, or use another folder.") from error
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        self.latest = Checkpoints(self.path / "checkpoints" / "latest", self._keep)
        self.best = Checkpoints(self.path / "checkpoints" / "best", 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the checkpoints and releases the lock."""
        self.latest.close()
        self.best.close()
        self._lock.release()

    def records(self) -> list[Record]:
        """Reads the epochs recorded so far."""
        return read_lines(self.path / "records.jsonl", Record)

    def timings(self) -> list[Timing]:
        """Reads their times."""
        return read_lines(self.path / "timings.jsonl", Timing)

    def record(self, record: Record, timing: Timing) -> None:
        """Records an epoch; its time first, since an epoch without a record is evaluated again."""
        append_line(self.path / "timings.jsonl", timing)
        append_line(self.path / "records.jsonl", record)

    def save_if_best(self, state: TrainState) -> None:
        """Saves the state of the epoch just recorded if that is the best one so far."""
        leader = best(self.records())
        if leader is not None and leader.step == int(state.step):
            self.best.save(state)

    def resume(self, start: TrainState) -> TrainState:
        """Returns the latest state that was saved, or `start`; whatever was written after it is dropped.

        Raises:
            ValueError: there are checkpoints, but the latest can't be restored. A run never starts over in silence.
        """
        steps = self.latest.steps()
        state = self.latest.restore(start, steps[-1]) if steps else start
        step = int(state.step)
        self.best.drop_after(step)
        kept = [record for record in self.records() if record.step <= step]
        epochs = {record.epoch for record in kept}
        write_lines(self.path / "records.jsonl", kept)
        # The last of doubles: a kill between a time and its record leaves a time that is then written again.
        timings = {timing.epoch: timing for timing in self.timings() if timing.epoch in epochs}
        write_lines(self.path / "timings.jsonl", list(timings.values()))
        return state
