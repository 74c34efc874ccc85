"""What a suite found, as a value and as a file: JSON that names the machine, the versions and the date."""

import dataclasses
import datetime
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.speed.compare import Result
from experiments.speed.contestants import OURS
from experiments.speed.task import Task

__all__ = ["Outcome", "Point", "fastest_peer", "machine", "read", "today", "write"]


class Point(NamedTuple):
    """One task of a suite."""

    task: Task
    results: list[Result]
    left_out: dict[str, str]  # contestant -> why it has no result


class Outcome(NamedTuple):
    """A suite's points so far."""

    suite: str
    date: str
    machine: dict[str, Any]
    points: list[Point]


def machine() -> dict[str, Any]:
    """Describes this machine; accelerators stand in the results, as the engines see them."""
    from recurrent.training.environment import processor  # here, since JAX comes with it

    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def today() -> str:
    """Returns the date as results write it."""
    return str(datetime.date.today())


def fastest_peer(results: Sequence[Result], field: str) -> float | None:
    """Returns the least of a time over the peers; none of ours counts."""
    return min((getattr(each, field) for each in results if each.contestant not in OURS), default=None)


def write(outcome: Outcome, path: Path) -> None:
    """Writes an outcome, ratios to the fastest peer included (more is faster)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = outcome._asdict() | {"points": [_as_json(point) for point in outcome.points]}
    path.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Outcome:
    """Reads what `write` wrote."""
    answer = json.loads(path.read_text(encoding="utf-8"))
    points = [
        Point(Task(**point["task"]), [Result(**_fields(each)) for each in point["results"]], point["left_out"])
        for point in answer["points"]
    ]
    return Outcome(**answer | {"points": points})


def _as_json(point: Point) -> dict[str, Any]:
    results = [result._asdict() | _ratios(result, point.results) for result in point.results]
    return {"task": dataclasses.asdict(point.task), "results": results, "left_out": point.left_out}


def _ratios(result: Result, results: Sequence[Result]) -> dict[str, float | None]:
    ratios = {}
    for what in ("train", "predict"):
        fastest = fastest_peer(results, f"{what}_seconds")
        ratios[f"{what}_ratio"] = fastest and fastest / getattr(result, f"{what}_seconds")
    return ratios


def _fields(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name in Result._fields}
