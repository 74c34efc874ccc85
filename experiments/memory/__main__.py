"""`scripts/memory`: which cell learns to remember over how many steps, and how far back its gradients reach.

JAX is imported only after the arguments have been read, so help and mistakes are answered at once.
"""

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.command_line import announce_stop, command, respond, start
from experiments.folders import check_output_folder, runs_folder
from experiments.machine import start_jax
from experiments.memory import figure as memory_report
from experiments.memory import results as outcome
from experiments.memory import tables
from experiments.memory.contestants import look_up
from experiments.memory.results import Outcome
from experiments.memory.settings import RECIPES, Recipe

if TYPE_CHECKING:
    from experiments.memory.study import Training
    from experiments.memory.train import Trained


@dataclasses.dataclass(frozen=True)
class Memory:
    """Trains cells on a task of memory at several lengths; the same command again goes on where the last one stopped.

    Writes TASK.json and TASK.svg: losses, the lengths that each cell solves, and gradients against time. Options left
    out are the task's own. More lengths and more cells are added to what is there.
    """

    settings: Annotated[Recipe, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Recipe)
    output: Path | None = None
    """The folder of the results; memory in the folder of runs, if left out."""
    png: bool = False
    """Draws TASK.png too."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "auto"
    """Where to compute; auto takes an accelerator if JAX finds one."""

    def run(self) -> int:
        """Trains, writes and prints; 0, or 143 or 130 when a signal stopped it before the end."""
        start_jax(self.device, len(os.sched_getaffinity(0)))
        from experiments.memory.train import WINDOW, make_task
        from recurrent.training.signals import Interrupt, Stopped

        recipe, folder = self.settings, self.output or runs_folder() / "memory"
        path = folder / f"{recipe.task}.json"
        for length in recipe.lengths:
            make_task(recipe, length)  # a length that is too short is told before hours have passed
        check_output_folder(folder)
        out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        found = outcome.begin(path, recipe, WINDOW, outcome.environment())
        with Interrupt(announce_stop) as interrupt:
            try:
                found = _measure(out, recipe, found, path, lambda: interrupt)
            except Stopped:
                found = outcome.read(path) if path.exists() else found
        if found.points:
            memory_report.draw(found, path.with_suffix(".svg"))
            if self.png:
                memory_report.draw(found, path.with_suffix(".png"))
            out.print("\n".join(["", *tables.solved(found), "", *tables.flows(found), "", tables.footnote(found)]))
            out.print(f"written  {path} and {path.with_suffix('.svg').name}", markup=False)
        if interrupt.received:
            out.print(f"stopped by {interrupt.received.name}; the same command goes on from here", markup=False)
        return interrupt.exit_code


def _measure(out: Console, recipe: Recipe, found: Outcome, path: Path, should_stop: Any) -> Outcome:
    """Measures what is not there yet, and writes each point as it comes."""
    from experiments.memory.study import study

    pairs = [(cell, length) for length in recipe.lengths for cell in recipe.cells]
    wanted = [pair for pair in pairs if found.find(*pair) is None]
    wall, cpu = time.perf_counter(), time.process_time()
    with _Board(out, recipe, len(wanted) * recipe.seeds) as board:
        for point in study(recipe, wanted, on_window=board.report, on_trained=board.finish, should_stop=should_stop):
            now = time.perf_counter(), time.process_time()
            found = found._replace(
                seconds=round(found.seconds + now[0] - wall, 1),
                cpu_seconds=round(found.cpu_seconds + now[1] - cpu, 1),
                points=[*found.points, point],
            )
            wall, cpu = now
            outcome.write(found, path)
    return found


class _Board:
    """What a person sees of trainings: a bar on a terminal, now and then a line elsewhere, and a line for each end."""

    def __init__(self, out: Console, recipe: Recipe, total: int, every_seconds: float = 30.0) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
        self._line = self._bar.add_task("compiling", total=total)
        self._out, self._recipe, self._total = out, recipe, total
        self._every_seconds, self._last = every_seconds, time.monotonic()
        self._at: dict[Training, int] = {}
        self._done = 0
        self._lock = threading.Lock()  # trainings report from threads of their own

    def __enter__(self) -> "_Board":
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def report(self, training: "Training", step: int, loss: float) -> None:
        """Notes how far a training is."""
        with self._lock:
            self._at[training] = step
            of_each = " · ".join(f"{_name(each)}: {at:,}" for each, at in self._at.items())
            text = f"{self._done} of {self._total} trained · {of_each} steps, loss {loss:.4f}"
            completed = self._done + sum(self._at.values()) / self._recipe.steps
            self._bar.update(self._line, description=text, completed=completed)
            if not self._out.is_terminal and time.monotonic() - self._last >= self._every_seconds:
                self._last = time.monotonic()
                self._out.print(text, markup=False)

    def finish(self, training: "Training", trained: "Trained") -> None:
        """Says how a training ended."""
        if trained.solved_at is None:
            what = f"not solved in {self._recipe.steps:,} steps, loss {trained.losses[-1]:.4f}"
        else:
            what = f"solved after {trained.solved_at:,} steps"
        with self._lock:
            self._at.pop(training, None)
            self._done += 1
            self._out.print(f"{self._recipe.task}, {_name(training)}: {what}, {trained.seconds:.0f} s", markup=False)


def _name(training: "Training") -> str:
    return f"{training.cell} at {training.length}, seed {training.seed}"


def main(arguments: Sequence[str]) -> int:
    """Measures and returns the exit code."""
    return respond("memory", lambda: parse(arguments).run())


def parse(arguments: Sequence[str]) -> Memory:
    """Reads the options; those left out are those of the task's recipe."""
    default = Memory(RECIPES[_task_name(arguments)]())
    return tyro.cli(Memory, prog=command("memory"), args=list(arguments), default=default)


def _task_name(arguments: Sequence[str]) -> str:
    """Reads --task ahead of the other options, since it decides what their defaults are."""
    name = "adding"
    for position, argument in enumerate(arguments):
        flag, is_joined, value = argument.partition("=")
        if flag == "--task":
            name = value if is_joined else (arguments[position + 1 : position + 2] or [""])[0]
    return look_up("task", name, RECIPES)


if __name__ == "__main__":
    start(main)
