"""`scripts/speed`: a step of training and of inference, ours beside other libraries', in one interleaved run."""

import dataclasses
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.table import Column, Table

from experiments.command_line import command, in_words, respond, start
from experiments.folders import check_output_folder
from experiments.speed import figure as speed_report
from experiments.speed import results as outcome
from experiments.speed.compare import Result, compare
from experiments.speed.contestants import CONTESTANTS, NAMES, Name, missing, unfit
from experiments.speed.process import ContestantError
from experiments.speed.results import Outcome, Point, fastest_peer
from experiments.speed.suites import SUITES, SuiteName
from experiments.speed.task import Task


@dataclasses.dataclass(frozen=True)
class Speed:
    """Compares speed and memory in training and inference; all contestants must compute the same losses.

    `imdb` compares at the benchmark's sizes; `width`, `batch` and `length` vary one size. Options left out are the
    suite's own.
    """

    suite: SuiteName = "imdb"
    """What is compared."""
    cells: tuple[Literal["lstm", "gru", "simple_rnn"], ...] = ("lstm", "gru", "simple_rnn")
    """Cells, one comparison each."""
    contestants: tuple[Name, ...] = NAMES
    """Who takes part; the others' losses are held against the first one's."""
    values: tuple[int, ...] = ()
    """Sizes along which a grid varies."""
    batch: int | None = None
    """Sequences a step."""
    time: int | None = None
    """Steps of a sequence."""
    width: int | None = None
    """Features of a word, and units of the cell."""
    vocabulary: int | None = None
    """Words."""
    lengths: Literal["full", "reviews"] | None = None
    """Whether sequences are full of words, or as long as reviews and the rest padding."""
    padding: Literal["keras", "masked"] | None = None
    """Whether padding is read like words (keras, if left out), or the state is held there."""
    steps: int | None = None
    """Training steps in a turn; an inference follows them."""
    turns: int | None = None
    """Turns of each contestant that count."""
    limit_seconds: float | None = None
    """What each contestant may take at one task, all turns together."""
    memory: bool = True
    """Measures peak memory as well, each contestant in a fresh process."""
    tensorflow_python: Path | None = None
    """A Python that has TensorFlow, NumPy and Keras; TENSORFLOW_PYTHON in the environment does the same."""
    output: Path | None = None
    """Writes SUITE.json and SUITE.svg into this folder, such as docs/speed."""

    def run(self) -> int:
        """Compares and prints; what a grid has found is written point by point."""
        signal.signal(signal.SIGINT, signal.default_int_handler)  # so that contestants are ended, too
        for name in ("turns", "limit_seconds"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise ValueError(f"--{name.replace('_', '-')} must be positive, not {value}.")
        if self.output:
            check_output_folder(self.output)
        out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        suite = SUITES[self.suite]
        found = Outcome(self._name(), outcome.today(), outcome.machine(), [])
        tasks = suite.tasks(self.cells, self.values, **self._changes())
        for number, task in enumerate(tasks, start=1):
            with out.status("") as status:
                prefix = f"{number}/{len(tasks)} · {_title(task)}: "
                found.points.append(self._compare(task, lambda what, prefix=prefix: status.update(prefix + what)))
            out.print(_table(found.points[-1]))
            for name, reason in found.points[-1].left_out.items():
                out.print(f"{CONTESTANTS[name].label} left out: {reason}", markup=False)
            if self.output:
                outcome.write(found, self.output / f"{found.suite}.json")
                speed_report.draw(found, self.output / f"{found.suite}.svg")
        out.print(_footnote(found))
        return 0

    def _name(self) -> str:
        """Names the results; another meaning of padding is another result."""
        return self.suite + ("-masked" if self.padding == "masked" else "")

    def _changes(self) -> dict[str, Any]:
        sizes = ("batch", "time", "width", "vocabulary", "lengths", "padding", "steps")
        return {name: value for name in sizes if (value := getattr(self, name)) is not None}

    def _compare(self, task: Task, on_progress: Any) -> Point:
        suite = SUITES[self.suite]
        left_out: dict[str, str] = {}
        for name in self.contestants:
            if reason := self._why_not(name, task):
                left_out[name] = reason
        results = compare(
            [name for name in self.contestants if name not in left_out],
            task,
            self.turns or suite.turns,
            on_progress,
            on_failure=None if suite.is_strict else left_out.__setitem__,
            limit_seconds=self.limit_seconds or suite.limit_seconds,
            with_memory=self.memory,
            pythons={"keras_tensorflow": str(self._tensorflow_python())},
        )
        return Point(task, results, left_out)

    def _why_not(self, name: str, task: Task) -> str | None:
        if name == "keras_tensorflow" and self._tensorflow_python() is None:
            return "give --tensorflow-python PATH, a Python that has TensorFlow, NumPy and Keras"
        return unfit(name, task) or missing(name)

    def _tensorflow_python(self) -> Path | None:
        named = os.environ.get("TENSORFLOW_PYTHON")
        return self.tensorflow_python or (Path(named) if named else None)


def _title(task: Task) -> str:
    lengths = {"full": "full", "reviews": "as long as reviews"}[task.lengths]
    masked = ", padding masked" if task.padding == "masked" else ""
    return f"{task.cell} · batch {task.batch} · {task.time} steps, {lengths}{masked} · width {task.width}"


def _table(point: Point) -> Table:
    """Lays a comparison out; a ratio is the fastest peer's time over the contestant's, so more is faster."""
    headings = ("train\nms", "\nratio", "infer\nms", "\nratio", "memory\nMB", "first\nturn s")
    table = Table(Column(no_wrap=True), *headings, title=_title(point.task))
    for result in point.results:
        table.add_row(
            f"{CONTESTANTS[result.contestant].label} {result.version}",
            f"{result.train_seconds * 1e3:.1f}",
            _ratio(point.results, result, "train_seconds"),
            f"{result.predict_seconds * 1e3:.1f}",
            _ratio(point.results, result, "predict_seconds"),
            "-" if result.memory_bytes is None else f"{result.memory_bytes / 1e6:.0f}",
            f"{result.first_seconds:.1f}",
        )
    return table


def _ratio(results: Sequence[Result], result: Result, field: str) -> str:
    fastest = fastest_peer(results, field)
    ratio = None if fastest is None else fastest / getattr(result, field)
    return "-" if ratio is None else f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0f}"


def _footnote(found: Outcome) -> str:
    devices = sorted({result.device for point in found.points for result in point.results} - {"cpu"})
    turns = max((result.turns for point in found.points for result in point.results), default=0)
    machine = ", ".join([found.machine["processor"], f"{found.machine['cores']} cores", *devices])
    return f"{machine}, {found.date}; medians of up to {turns} turns"


def main(arguments: Sequence[str]) -> int:
    """Compares and returns the exit code."""
    return respond("speed", lambda: tyro.cli(Speed, prog=command("speed"), args=list(arguments)).run(), _in_words)


def _in_words(error: Exception) -> str:
    """Says what went wrong; of a contestant, with the last lines that it wrote."""
    return str(error) if isinstance(error, ContestantError) else in_words(error)


if __name__ == "__main__":
    start(main)
