"""`scripts/speed`: training and inference steps of this library and of others, in one interleaved comparison."""

import dataclasses
import datetime
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console

from experiments.command_line import command, in_words, respond, start
from experiments.folders import check_output_folder
from experiments.machine import describe_machine
from experiments.speed import figure, results, terminal
from experiments.speed.compare import compare
from experiments.speed.contestants import Name, missing, unfit
from experiments.speed.process import ContestantError
from experiments.speed.results import Point, Results
from experiments.speed.scaling import terminal as scaling_terminal
from experiments.speed.scaling.model import fit
from experiments.speed.scaling.suite import LIMIT_SECONDS, TASK, TURNS, scale
from experiments.speed.suites import SUITES, SuiteName
from experiments.speed.task import Task


@dataclasses.dataclass(frozen=True)
class Speed:
    """Compares speed and memory of training and inference. All contestants must compute the same losses.

    `imdb` uses the sizes of the benchmark; `width`, `batch` and `length` vary one size; `default` runs a user's own
    loop on JAX as it comes, without flags; `drop-in` runs Keras and Flax with their own layers and with ours; `scaling`
    runs our LSTM on 1 to 8 devices and 1 to 4 processes of the CPU. Each suite has its own defaults.
    """

    suite: SuiteName = "imdb"
    """The suite."""
    cells: tuple[Literal["lstm", "gru", "simple_rnn"], ...] = ("lstm", "gru", "simple_rnn")
    """Cells, one comparison each."""
    contestants: tuple[Name, ...] = ()
    """Libraries to compare; the suite's by default. The others' losses must equal those of the first one."""
    values: tuple[int, ...] = ()
    """Values of the size that varies."""
    batch: int | None = None
    """Sequences per step."""
    time: int | None = None
    """Steps of a sequence."""
    width: int | None = None
    """Features of a word, and units of the cell."""
    vocabulary: int | None = None
    """Size of the vocabulary."""
    lengths: Literal["full", "reviews"] | None = None
    """full: no padding. reviews: as long as real reviews, the rest is padding."""
    padding: Literal["keras", "masked"] | None = None
    """keras: padding is input (the default). masked: padding is skipped."""
    steps: int | None = None
    """Training steps per turn; an inference follows them."""
    turns: int | None = None
    """Turns of each contestant that count."""
    limit_seconds: float | None = None
    """Time limit of each contestant on one task, for all turns together."""
    memory: bool = True
    """Also measures peak memory, each contestant in a fresh process."""
    tensorflow_python: Path | None = None
    """A Python with TensorFlow, NumPy and Keras; the environment variable TENSORFLOW_PYTHON does the same."""
    output: Path | None = None
    """Writes SUITE.json and SUITE.svg into this folder, such as docs/speed."""

    def run(self) -> int:
        """Compares and prints; the results are written after each task."""
        signal.signal(signal.SIGINT, signal.default_int_handler)  # so that contestants are ended, too
        for name in ("turns", "limit_seconds"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise ValueError(f"--{name.replace('_', '-')} must be positive, not {value}.")
        if self.output:
            check_output_folder(self.output)
        out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        if self.suite == "scaling":
            return self._scale(out)
        tasks = SUITES[self.suite].tasks(self.cells, self.values, **self._changes())
        # With another meaning of padding, the results are others, and so is their name.
        name = self.suite + ("-masked" if self.padding == "masked" else "")
        found = Results(name, datetime.date.today().isoformat(), describe_machine(), [])
        for number, task in enumerate(tasks, start=1):
            with out.status("") as status:
                prefix = f"{number}/{len(tasks)} · {terminal.title(task)}: "
                found.points.append(self._compare(task, lambda what, prefix=prefix: status.update(prefix + what)))
            out.print(terminal.table(found.points[-1]))
            for line in terminal.remarks(found.points[-1]):
                out.print(line, markup=False)
            if self.output:
                results.write(found, self.output / f"{found.suite}.json")
                figure.draw(found, self.output / f"{found.suite}.svg")
        for line in terminal.footnotes(found):
            out.print(line, markup=False)
        return 0

    def _scale(self, out: Console) -> int:
        if self.contestants or self.values:
            raise ValueError("--suite scaling has our LSTM and its own points: no --contestants and --values.")
        task = dataclasses.replace(TASK, **self._changes())
        with out.status("") as status:
            limit = self.limit_seconds or LIMIT_SECONDS
            found = scale(task, self.turns or TURNS, limit, self.output, status.update)
        rates = fit(found)
        out.print(scaling_terminal.table(found, rates))
        for line in scaling_terminal.footnotes(found, rates):
            out.print(line, markup=False)
        return 0

    def _changes(self) -> dict[str, Any]:
        sizes = ("batch", "time", "width", "vocabulary", "lengths", "padding", "steps")
        return {name: value for name in sizes if (value := getattr(self, name)) is not None}

    def _compare(self, task: Task, on_progress: Any) -> Point:
        suite = SUITES[self.suite]
        names = self.contestants or suite.contestants
        left_out: dict[str, str] = {}
        for name in names:
            if reason := self._why_not(name, task):
                left_out[name] = reason
        measurements = compare(
            [name for name in names if name not in left_out],
            task,
            self.turns or suite.turns,
            on_progress,
            on_failure=None if suite.is_strict else left_out.__setitem__,
            on_left_out=left_out.__setitem__,
            limit_seconds=self.limit_seconds or suite.limit_seconds,
            with_memory=self.memory,
            pythons={"keras_tensorflow": str(self._tensorflow_python())},
        )
        return Point(task, measurements, left_out)

    def _why_not(self, name: str, task: Task) -> str | None:
        if name == "keras_tensorflow" and self._tensorflow_python() is None:
            return "pass --tensorflow-python PATH, a Python with TensorFlow, NumPy and Keras"
        return unfit(name, task) or missing(name)

    def _tensorflow_python(self) -> Path | None:
        named = os.environ.get("TENSORFLOW_PYTHON")
        return self.tensorflow_python or (Path(named) if named else None)


def main(arguments: Sequence[str]) -> int:
    """Compares and returns the exit code."""
    return respond("speed", lambda: tyro.cli(Speed, prog=command("speed"), args=list(arguments)).run(), _in_words)


def _in_words(error: Exception) -> str:
    """Returns the message of an error; that of a contestant includes the last lines that it wrote."""
    return str(error) if isinstance(error, ContestantError) else in_words(error)


if __name__ == "__main__":
    start(main)
