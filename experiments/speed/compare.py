"""The comparison: contestants take turns on the same batches, and what they compute must agree before speed counts."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from experiments.speed.process import ContestantError, OutOfTime, Process
from experiments.speed.task import Task

__all__ = ["Result", "compare"]

TOLERANCE = 1e-3
"""Relative difference of losses that rounding explains after this many steps."""


class Result(NamedTuple):
    """What one contestant did; seconds are medians over turns, of one step."""

    contestant: str
    version: str
    engine: str  # with its version
    device: str
    xla_flags: str
    turns: int  # that count
    train_seconds: float
    train_best_seconds: float
    predict_seconds: float
    first_seconds: float  # of the first turn's training steps together, compilation included
    losses: list[float]  # of each turn
    memory_bytes: int | None = None  # of training at its peak, above what the process held before
    first_memory_bytes: int | None = None  # the same of the first turn, compilation included
    step_memory_bytes: int | None = None  # as memory_bytes, but above what the first turn left, such as compiled code


class _Turn(NamedTuple):
    train: dict[str, Any]
    predict: dict[str, Any]


class _Rules(NamedTuple):
    """How a comparison goes, beside what is compared."""

    task: Task
    on_progress: Callable[[str], None]
    on_failure: Callable[[str, str], None] | None
    limit_seconds: float
    pythons: Mapping[str, str]


def compare(
    names: Sequence[str],
    task: Task,
    turns: int,
    on_progress: Callable[[str], None],
    *,
    on_failure: Callable[[str, str], None] | None = None,
    limit_seconds: float = float("inf"),
    with_memory: bool = False,
    pythons: Mapping[str, str] | None = None,
) -> list[Result]:
    """Lets contestants take turns, in an order that rotates; the first turn of each, which compiles, does not count.

    Args:
        on_failure: is told the name and the reason of a contestant that fails, which then is left out; without it, a
            failure ends the comparison.
        limit_seconds: what each contestant may take, building it included. One that runs out of it stops taking turns,
            and has failed if not one turn counts.
        with_memory: measures memory too, each contestant alone in a fresh process.
        pythons: the Python that runs a contestant, where it is not this one.

    Raises:
        RuntimeError: a contestant failed, or its losses or logits differ from the first one's.
    """
    rules = _Rules(task, on_progress, on_failure, limit_seconds, pythons or {})
    results = []
    with ExitStack() as stack:
        processes = [process for name in names if (process := _start(name, rules, stack)) is not None]
        played = _play(processes, turns, rules)
        expected = next(iter(played.values()), [])
        for process in processes:
            try:
                if process.name in played:
                    _check(process.name, played[process.name], next(iter(played)), expected)
                    results.append(_result(process, task, played[process.name]))
            except ContestantError as error:
                _report(process.name, error, rules)
    return [_with_memory(result, rules) for result in results] if with_memory else results


def _report(name: str, error: ContestantError, rules: _Rules) -> None:
    if rules.on_failure is None:
        raise error
    rules.on_failure(name, str(error))


def _start(name: str, rules: _Rules, stack: ExitStack) -> Process | None:
    """Starts a contestant, one at a time; the stack ends it."""
    rules.on_progress(f"starting {name}")
    try:
        process = Process(name, rules.task, rules.pythons.get(name, sys.executable), rules.limit_seconds)
        stack.callback(process.stop)
        process.introduce()
    except ContestantError as error:
        _report(name, error, rules)
        return None
    return process


def _play(processes: Sequence[Process], turns: int, rules: _Rules) -> dict[str, list[_Turn]]:
    """Takes the turns; returns those of each contestant that has one that counts."""
    played: dict[str, list[_Turn]] = {process.name: [] for process in processes}
    waiting = list(processes)
    for turn in range(turns + 1):
        for process in waiting[turn % len(waiting or [1]) :] + waiting[: turn % len(waiting or [1])]:
            rules.on_progress(f"{process.name}, turn {turn} of {turns}")
            try:
                played[process.name].append(_Turn(process.ask("train", turn), process.ask("predict", turn)))
            except ContestantError as error:
                waiting.remove(process)
                if isinstance(error, OutOfTime) and len(played[process.name]) > 1:
                    continue
                del played[process.name]
                _report(process.name, error, rules)
    return played


def _check(name: str, mine: Sequence[_Turn], first: str, expected: Sequence[_Turn]) -> None:
    """Holds losses and logits against the first contestant's, over the turns that both took."""
    for turn, (actual, wanted) in enumerate(zip(mine, expected, strict=False)):
        difference = abs(actual.train["result"] / wanted.train["result"] - 1)
        spread = float(np.max(np.abs(np.subtract(actual.predict["result"], wanted.predict["result"]))))
        if not (difference < TOLERANCE and spread < 100 * TOLERANCE):
            raise ContestantError(
                f"{name} computes something else than {first} in turn {turn}: loss {actual.train['result']}, not "
                f"{wanted.train['result']}; logits differ by up to {spread:.2g}."
            )


def _result(process: Process, task: Task, turns: Sequence[_Turn]) -> Result:
    trained = [turn.train["seconds"] for turn in turns[1:]]
    return Result(
        contestant=process.name,
        **process.introduction,
        turns=len(trained),
        train_seconds=median(trained),
        train_best_seconds=min(trained),
        predict_seconds=median(turn.predict["seconds"] for turn in turns[1:]),
        first_seconds=turns[0].train["seconds"] * task.steps,
        losses=[turn.train["result"] for turn in turns],
    )


def _with_memory(result: Result, rules: _Rules) -> Result:
    """Adds what a process of its own measures, while no other contestant is there."""
    with ExitStack() as stack:
        process = _start(result.contestant, rules, stack)
        if process is None:
            return result
        rules.on_progress(f"{result.contestant}, memory")
        try:
            return result._replace(**process.ask("memory", 0))
        except ContestantError as error:
            _report(result.contestant, error, rules)
            return result
