"""What was measured, as a value and as a JSON file that names the machine, the versions and the date."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command_line import command
from experiments.speed.scaling.points import Point
from experiments.speed.task import Task

__all__ = ["Measured", "Scaling", "read", "write"]


class Measured(NamedTuple):
    """A point, with seconds of a step over the turns that count."""

    point: Point
    seconds: float  # the median
    low_seconds: float  # the quartiles
    high_seconds: float
    turns: int
    backend: str
    param_bytes: int
    collectives: list[dict[str, Any]]  # of a step, from the compiled program
    losses: list[float]  # of each turn

    @property
    def received_bytes(self) -> int:
        """What a device receives in a step, if the devices form a ring: as much as it sends."""
        return sum(each["sent_bytes"] for each in self.collectives if each["num_devices"] > 1)


class Scaling(NamedTuple):
    """The points of the suite."""

    date: str
    machine: dict[str, Any]
    jax: str
    caveat: str
    task: Task
    points: list[Measured]


def write(scaling: Scaling, path: Path) -> None:
    """Writes what was measured, all or nothing."""
    from recurrent.training.atomic import write_text  # here, since it imports JAX

    points = [each._asdict() | {"point": each.point._asdict()} for each in scaling.points]
    found = {"suite": "scaling", **scaling._asdict(), "task": dataclasses.asdict(scaling.task), "points": points}
    write_text(path, json.dumps(found, indent=1) + "\n")


def read(path: Path) -> Scaling:
    """Reads what `write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("suite") != "scaling":
            raise ValueError("it is of another suite")
        points = [Measured(**each | {"point": Point(**each["point"])}) for each in found["points"]]
        return Scaling(**found | {"task": Task(**found["task"]), "points": points})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not a file of {command('speed', '--suite', 'scaling')} ({error!r}).") from error
