"""Shows the progress of trainings: a bar on a terminal, a line from time to time elsewhere, a line for each end."""

import threading
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.memory.settings import Settings

if TYPE_CHECKING:
    from experiments.memory.study import Training
    from experiments.memory.train import Trained

__all__ = ["Board"]


class Board:
    """A context manager; trainings may report from threads of their own."""

    def __init__(self, out: Console, settings: Settings, total: int, every_seconds: float = 30.0) -> None:
        """Stores the arguments.

        Args:
            out: where to print.
            settings: of the measurement.
            total: the number of trainings.
            every_seconds: between lines, if `out` is not a terminal.
        """
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
        self._line = self._bar.add_task("compiling", total=total)
        self._out, self._settings, self._total = out, settings, total
        self._every_seconds, self._last = every_seconds, time.monotonic()
        self._at: dict[Training, int] = {}
        self._done = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "Board":
        """Shows the bar."""
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Removes the bar."""
        self._bar.__exit__(*error)

    def report(self, training: "Training", step: int, loss: float) -> None:
        """Shows how far a training is."""
        with self._lock:
            self._at[training] = step
            of_each = " · ".join(f"{_name(each)}: {at:,}" for each, at in self._at.items())
            text = f"{self._done} of {self._total} trained · {of_each} steps, loss {loss:.4f}"
            completed = self._done + sum(self._at.values()) / self._settings.steps
            self._bar.update(self._line, description=text, completed=completed)
            if not self._out.is_terminal and time.monotonic() - self._last >= self._every_seconds:
                self._last = time.monotonic()
                self._out.print(text, markup=False)

    def finish(self, training: "Training", trained: "Trained") -> None:
        """Prints the result of a training."""
        if trained.solved_at is None:
            what = f"not solved in {self._settings.steps:,} steps, loss {trained.losses[-1]:.4f}"
        else:
            what = f"solved after {trained.solved_at:,} steps"
        with self._lock:
            self._at.pop(training, None)
            self._done += 1
            self._out.print(f"{self._settings.task}, {_name(training)}: {what}, {trained.seconds:.0f} s", markup=False)


def _name(training: "Training") -> str:
    return f"{training.cell} at {training.length}, seed {training.seed}"
