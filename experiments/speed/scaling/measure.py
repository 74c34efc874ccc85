"""Measures the points in turns: each takes the steps of a turn while the others wait."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from experiments.speed.process import ContestantError
from experiments.speed.scaling.crew import Crew
from experiments.speed.scaling.points import Point
from experiments.speed.scaling.results import Measured
from experiments.speed.task import Task

__all__ = ["measure"]


def measure(
    points: Sequence[Point], task: Task, turns: int, on_progress: Callable[[str], Any], limit_seconds: float
) -> list[Measured]:
    """Measures points in rotating order. The first turn of each, which compiles, does not count.

    Args:
        points: where the steps run.
        task: the sizes; each point has a batch of its own.
        turns: that count.
        on_progress: called with what happens next.
        limit_seconds: of all answers of a process together.

    Raises:
        ContestantError: a process failed, or points with the same batch and shards have other losses.
    """
    cores, crews = _cores(), list[Crew]()
    with ExitStack() as stack:
        for point in points:
            on_progress(f"starting {point}")
            crews.append(Crew(point, task, cores, limit_seconds))
            stack.push(lambda kind, error, trace, crew=crews[-1]: crew.stop(is_failed=error is not None))
            crews[-1].introduce()
        answers: list[list[dict[str, Any]]] = [[] for _ in crews]
        for turn in range(turns + 1):
            for index in np.roll(np.arange(len(crews)), -turn):
                on_progress(f"{crews[index].point}, turn {turn} of {turns}")
                answers[index].append(crews[index].train(turn))
        found = [_summarise(crew, own) for crew, own in zip(crews, answers, strict=True)]
    _check(found)
    return found


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _summarise(crew: Crew, answers: Sequence[dict[str, Any]]) -> Measured:
    seconds = [answer["seconds"] for answer in answers[1:]]
    low, middle, high = np.percentile(seconds, (25, 50, 75)).tolist()
    losses = [answer["loss"] for answer in answers]
    return Measured(crew.point, middle, low, high, len(seconds), **crew.introduction, losses=losses)


def _check(found: Sequence[Measured]) -> None:
    """Compares losses bit for bit."""
    first: dict[tuple[int, int], Measured] = {}
    for each in found:
        other = first.setdefault((each.point.shards, each.point.batch), each)
        if each.losses != other.losses:
            raise ContestantError(f"{each.point} and {other.point} do not agree: {each.losses} and {other.losses}.")
