"""`scripts/memory`: which cells learn to remember over how many steps, and how far back their gradients reach.

JAX is imported after the arguments have been read, so help and error messages appear at once.
"""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from experiments.command_line import announce_stop, command, option, respond, start
from experiments.folders import check_output_folder, runs_folder
from experiments.machine import num_cores, start_jax
from experiments.memory import figure, results, tables
from experiments.memory.results import Results
from experiments.memory.settings import DEFAULTS, Settings
from experiments.memory.terminal import Board
from experiments.names import look_up


@dataclasses.dataclass(frozen=True)
class Memory:
    """Trains cells on a memory task at several lengths. The same command again continues where the last one stopped.

    Writes TASK.json and TASK.svg: losses, the lengths that each cell solves, and gradient norms by time step. Each task
    has its own defaults. More lengths and more cells are added to the results.
    """

    settings: Annotated[Settings, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Settings)
    output: Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")] = None
    """Folder of the results. Default: memory in the folder of runs."""
    png: bool = False
    """Also draws TASK.png."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "auto"
    """Where to compute; auto uses an accelerator if JAX finds one."""

    def run(self) -> int:
        """Trains, writes and prints; returns 0, or 143 or 130 if a signal stopped it."""
        start_jax(self.device, num_cores())
        from experiments.memory.train import WINDOW, check_lengths
        from recurrent.training.signals import Interrupt, Stopped

        settings, folder = self.settings, self.output or runs_folder() / "memory"
        path = folder / f"{settings.task}.json"
        check_lengths(settings)  # now, and not after hours of training
        check_output_folder(folder)
        out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        found = results.begin(path, settings, WINDOW, results.environment())
        with Interrupt(announce_stop) as interrupt:
            try:
                found = _measure(out, settings, found, path, lambda: interrupt)
            except Stopped:
                found = results.read(path) if path.exists() else found
        if found.points:
            figure.draw(found, path.with_suffix(".svg"))
            if self.png:
                figure.draw(found, path.with_suffix(".png"))
            out.print("\n".join(["", *tables.solved(found), "", *tables.flows(found), "", tables.footnote(found)]))
            out.print(f"written  {path} and {path.with_suffix('.svg').name}", markup=False)
        if interrupt.received:
            out.print(f"stopped by {interrupt.received.name}; the same command continues from here", markup=False)
        return interrupt.exit_code


def _measure(out: Console, settings: Settings, found: Results, path: Path, should_stop: Any) -> Results:
    """Measures what is missing, and writes each point as soon as it is measured."""
    from experiments.memory.study import study

    pairs = [(cell, length) for length in settings.lengths for cell in settings.cells]
    wanted = [pair for pair in pairs if found.find(*pair) is None]
    wall, cpu = time.perf_counter(), time.process_time()
    with Board(out, settings, len(wanted) * settings.seeds) as board:
        for point in study(settings, wanted, on_window=board.report, on_trained=board.finish, should_stop=should_stop):
            now = time.perf_counter(), time.process_time()
            found = found._replace(
                seconds=round(found.seconds + now[0] - wall, 1),
                cpu_seconds=round(found.cpu_seconds + now[1] - cpu, 1),
                points=[*found.points, point],
            )
            wall, cpu = now
            results.write(found, path)
    return found


def main(arguments: Sequence[str]) -> int:
    """Measures and returns the exit code."""
    return respond("memory", lambda: parse(arguments).run())


def parse(arguments: Sequence[str]) -> Memory:
    """Reads the options; the defaults are those of the task."""
    task = look_up("task", option(arguments, "--task", "adding"), DEFAULTS)
    return tyro.cli(Memory, prog=command("memory"), args=list(arguments), default=Memory(DEFAULTS[task]()))


if __name__ == "__main__":
    start(main)
