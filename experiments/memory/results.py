"""What was found, as a value and as a file: JSON, a line for each cell at a length, written as soon as it is measured.

The file holds the settings and the environment that its numbers depend on; it goes on with those alone.
"""

import dataclasses
import datetime
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from experiments.memory.settings import Recipe

__all__ = ["Flow", "Outcome", "Point", "Run", "begin", "environment", "read", "today", "write"]

FREE_TO_CHANGE = ("environment.num_devices", "environment.cores")
"""What a measurement may go on without: how many trainings went on at a time changes none of them."""


class Flow(NamedTuple):
    """The gradient with respect to one array of the state, against the lag."""

    log_norms: list[float | None]  # to base 10, relative to the last step's, by lag from 0 on; None: below float64
    slope: float | None  # of the line fitted to them, a step
    half_life: float | None  # steps; None where it does not fall


class Run(NamedTuple):
    """One training."""

    seed: int
    solved_at: int | None  # steps done when the task was solved; None: never
    seconds: float  # of the wall's clock
    losses: list[float]  # means over windows of `Outcome.window` steps


class Point(NamedTuple):
    """One cell at one length."""

    cell: str
    length: int
    date: str
    baseline: float  # the loss of whoever remembers nothing
    solved_below: float
    runs: list[Run]
    before: dict[str, Flow]  # array of the state -> its gradient before training
    after: dict[str, Flow]

    @property
    def is_solved(self) -> bool:
        """Whether every seed solved it."""
        return all(run.solved_at is not None for run in self.runs)


class Outcome(NamedTuple):
    """A task's points so far."""

    settings: dict[str, Any]  # of the recipe, without its lengths and cells
    environment: dict[str, Any]
    window: int
    seconds: float  # of the wall's clock, all calls together
    cpu_seconds: float
    points: list[Point]

    def find(self, cell: str, length: int) -> Point | None:
        """Returns a point if it is there."""
        return next((point for point in self.points if (point.cell, point.length) == (cell, length)), None)


def begin(path: Path, recipe: Recipe, window: int, environment: dict[str, Any]) -> Outcome:
    """Reads what there is of a measurement, or begins it; other cells and other lengths are the same measurement.

    Raises:
        ValueError: the file is another measurement's, or none.
    """
    from recurrent.training.run.identity import differences  # here, since JAX comes with it

    settings = {name: value for name, value in dataclasses.asdict(recipe).items() if name not in ("lengths", "cells")}
    new = Outcome(settings, environment, window, 0.0, 0.0, [])
    if not path.exists():
        return new
    found = read(path)
    different = differences(_identity(found), _identity(new), FREE_TO_CHANGE)
    if different:
        raise ValueError(f"{path} was measured otherwise: {'; '.join(different)}. Take another --output, or remove it.")
    return found


def _identity(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in ("settings", "environment", "window")}


def environment() -> dict[str, Any]:
    """Describes what the numbers depend on beside the settings."""
    import jax

    from recurrent.training.environment import describe_environment

    return describe_environment(jax.local_devices()) | {"cores": len(os.sched_getaffinity(0))}


def today() -> str:
    """Returns the date as results write it."""
    return str(datetime.date.today())


def write(outcome: Outcome, path: Path) -> None:
    """Writes an outcome, all or nothing."""
    from recurrent.training.atomic import write_text

    *head, _ = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in outcome._asdict().items())
    points = ",\n".join(json.dumps(_as_json(point)) for point in outcome.points)
    write_text(path, "{\n" + ",\n".join([*head, f'"points": [\n{points}\n]']) + "\n}\n")


def _as_json(point: Point) -> dict[str, Any]:
    flows = {
        when: {name: flow._asdict() for name, flow in getattr(point, when).items()} for when in ("before", "after")
    }
    return point._asdict() | {"runs": [run._asdict() for run in point.runs]} | flows


def read(path: Path) -> Outcome:
    """Reads what `write` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        return Outcome(**answer | {"points": [_from_json(point) for point in answer["points"]]})
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is not what scripts/memory writes ({error}): take another --output.") from error


def _from_json(point: dict[str, Any]) -> Point:
    flows = {when: {name: Flow(**flow) for name, flow in point[when].items()} for when in ("before", "after")}
    fields: dict[str, Any] = point | {"runs": [Run(**run) for run in point["runs"]]} | flows
    return Point(**fields)
