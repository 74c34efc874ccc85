"""The results of a suite, as a value and as a JSON file that names the machine, the versions and the date."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command_line import command
from experiments.speed.contestants import OURS
from experiments.speed.measurement import Measurement
from experiments.speed.suites import SUITES
from experiments.speed.task import Task

__all__ = ["Point", "Results", "fastest_peer", "read", "write"]


class Point(NamedTuple):
    """One task of a suite."""

    task: Task
    results: list[Measurement]
    left_out: dict[str, str]  # contestant -> why it has no result


class Results(NamedTuple):
    """The points of a suite so far."""

    suite: str  # with -masked, if padding is
    date: str
    machine: dict[str, Any]
    points: list[Point]

    @property
    def base(self) -> Any:
        """The name of the suite in `SUITES`."""
        return self.suite.removesuffix("-masked")


def fastest_peer(measurements: Sequence[Measurement], field: str) -> float | None:
    """Returns the smallest value of a field among the peers, which are all contestants but ours; None without peers."""
    return min((getattr(each, field) for each in measurements if each.contestant not in OURS), default=None)


def write(results: Results, path: Path) -> None:
    """Writes results, all or nothing, with ratios to the fastest peer (larger is faster)."""
    from recurrent.training.atomic import write_text  # here, since it imports JAX

    answer = results._asdict() | {"points": [_as_json(point) for point in results.points]}
    write_text(path, json.dumps(answer, indent=1) + "\n")


def read(path: Path) -> Results:
    """Reads what `write` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is something else.
    """
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        points = [
            Point(Task(**point["task"]), [Measurement(**_fields(each)) for each in point["results"]], point["left_out"])
            for point in answer["points"]
        ]
        results = Results(**answer | {"points": points})
        if results.base not in SUITES:
            raise ValueError(f"there is no suite {results.suite!r}")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not a file of results of {command('speed')} ({error!r}).") from error
    return results


def _as_json(point: Point) -> dict[str, Any]:
    results = [each._asdict() | _ratios(each, point.results) for each in point.results]
    return {"task": dataclasses.asdict(point.task), "results": results, "left_out": point.left_out}


def _ratios(measurement: Measurement, all_of_them: Sequence[Measurement]) -> dict[str, float | None]:
    ratios = {}
    for what in ("train", "predict"):
        fastest = fastest_peer(all_of_them, f"{what}_seconds")
        ratios[f"{what}_ratio"] = fastest and fastest / getattr(measurement, f"{what}_seconds")
    return ratios


def _fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in Measurement._fields}
