"""The suite from end to end: measures the points, fits the model, and writes both."""

import datetime
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.machine import describe_machine
from experiments.speed.scaling import figure
from experiments.speed.scaling.measure import measure
from experiments.speed.scaling.points import caveat, points
from experiments.speed.scaling.results import Scaling, write
from experiments.speed.task import Task

__all__ = ["LIMIT_SECONDS", "TASK", "TURNS", "scale"]

TASK = Task(steps=8)
TURNS = 9
LIMIT_SECONDS = 300.0


def scale(
    task: Task = TASK,
    turns: int = TURNS,
    limit_seconds: float = LIMIT_SECONDS,
    output: Path | None = None,
    on_progress: Callable[[str], Any] = print,
) -> Scaling:
    """Measures all points, and writes scaling.json and scaling.svg into a folder if one is given.

    Raises:
        ValueError: the batch can't be cut into the shards.
        ContestantError: a process failed, or points that must compute the same losses do not.
    """
    chosen, machine = points(task.batch), describe_machine()
    measured = measure(chosen, task, turns, on_progress, limit_seconds)
    today, jax = datetime.date.today().isoformat(), importlib.metadata.version("jax")
    scaling = Scaling(today, machine, jax, caveat(machine["cores"]), task, measured)
    if output is not None:
        write(scaling, output / "scaling.json")
        figure.draw(scaling, output / "scaling.svg")
    return scaling
