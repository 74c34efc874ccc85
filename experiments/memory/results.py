"""The results of a measurement, as a value and as a JSON file, written after each cell at each length.

The file holds the settings and the environment that its numbers depend on. Only a measurement with the same ones can
add to it.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command_line import command
from experiments.machine import num_cores
from experiments.memory.settings import TASK_NAMES, Settings
from experiments.names import look_up

__all__ = ["Flow", "Point", "Results", "Run", "begin", "environment", "read", "write"]

FREE_TO_CHANGE = ("environment.num_devices", "environment.cores")
"""What may differ when a measurement continues: the number of trainings at a time changes no result."""


class Flow(NamedTuple):
    """The norm of the gradient with respect to one array of the state, by lag."""

    log_norms: list[float | None]  # base 10, relative to the last step, by lag from 0 on; None: below float64
    slope: float | None  # of a line fitted to them, in decades per step
    half_life: float | None  # in steps; None where the gradient does not decrease


class Run(NamedTuple):
    """One training."""

    seed: int
    solved_at: int | None  # training steps until the task was solved; None: never
    seconds: float  # wall-clock time
    losses: list[float]  # means over windows of `Results.window` steps


class Point(NamedTuple):
    """One cell at one length."""

    cell: str
    length: int
    date: str
    baseline: float  # the loss of the best memoryless predictor
    solved_below: float
    runs: list[Run]
    before: dict[str, Flow]  # array of the state -> its gradient before training
    after: dict[str, Flow]

    @property
    def is_solved(self) -> bool:
        """Whether every seed solved the task."""
        return all(run.solved_at is not None for run in self.runs)


class Results(NamedTuple):
    """The points of a task so far."""

    settings: dict[str, Any]  # without lengths and cells
    environment: dict[str, Any]
    window: int
    seconds: float  # wall-clock time of all calls together
    cpu_seconds: float
    points: list[Point]

    def find(self, cell: str, length: int) -> Point | None:
        """Returns the point of a cell at a length; None if it is not measured yet."""
        return next((point for point in self.points if (point.cell, point.length) == (cell, length)), None)


def begin(path: Path, settings: Settings, window: int, environment: dict[str, Any]) -> Results:
    """Reads the results so far, or starts new ones. Other cells and other lengths belong to the same measurement.

    Raises:
        ValueError: the file belongs to another measurement, or is not one.
    """
    from recurrent.training.run.identity import differences  # here, since it imports JAX

    fixed = {name: value for name, value in dataclasses.asdict(settings).items() if name not in ("lengths", "cells")}
    new = Results(fixed, environment, window, 0.0, 0.0, [])
    if not path.exists():
        return new
    found = read(path)
    different = differences(_identity(found), _identity(new), FREE_TO_CHANGE)
    if different:
        raise ValueError(
            f"{path} has results of another measurement: {'; '.join(different)}. Use another --output, or remove it."
        )
    return found


def _identity(results: Results) -> dict[str, Any]:
    return {name: getattr(results, name) for name in ("settings", "environment", "window")}


def environment() -> dict[str, Any]:
    """Returns what the numbers depend on besides the settings."""
    import jax

    from recurrent.training.environment import describe_environment

    return describe_environment(jax.local_devices()) | {"cores": num_cores()}


def write(results: Results, path: Path) -> None:
    """Writes results as JSON, all or nothing."""
    from recurrent.training.atomic import write_text

    *head, _ = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in results._asdict().items())
    points = ",\n".join(json.dumps(_as_json(point)) for point in results.points)
    write_text(path, "{\n" + ",\n".join([*head, f'"points": [\n{points}\n]']) + "\n}\n")


def _as_json(point: Point) -> dict[str, Any]:
    flows = {
        when: {name: flow._asdict() for name, flow in getattr(point, when).items()} for when in ("before", "after")
    }
    return point._asdict() | {"runs": [run._asdict() for run in point.runs]} | flows


def read(path: Path) -> Results:
    """Reads what `write` wrote.

    Raises:
        ValueError: the file is something else.
        FileNotFoundError: there is none.
    """
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        look_up("task", answer["settings"]["task"], TASK_NAMES)
        return Results(**answer | {"points": [_from_json(point) for point in answer["points"]]})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not a file of results of {command('memory')} ({error!r}).") from error


def _from_json(point: dict[str, Any]) -> Point:
    flows = {when: {name: Flow(**flow) for name, flow in point[when].items()} for when in ("before", "after")}
    fields: dict[str, Any] = point | {"runs": [Run(**run) for run in point["runs"]]} | flows
    return Point(**fields)
