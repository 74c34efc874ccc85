"""Contestants take turns on the same batches, each in a process of its own."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from experiments.speed.process import ContestantError, OutOfTime, Process, Unavailable
from experiments.speed.task import Task

__all__ = ["Rules", "Turn", "play", "report", "start_process"]


class Turn(NamedTuple):
    """What a contestant answered in one turn."""

    train: dict[str, Any]
    predict: dict[str, Any]


class Rules(NamedTuple):
    """The arguments of a comparison, without the contestants."""

    task: Task
    on_progress: Callable[[str], None]
    on_failure: Callable[[str, str], None] | None
    on_left_out: Callable[[str, str], None]
    limit_seconds: float
    pythons: Mapping[str, str]


def report(name: str, error: ContestantError, rules: Rules) -> None:
    """Reports a failure, or raises it if failures end the comparison."""
    if rules.on_failure is None:
        raise error
    rules.on_failure(name, str(error))


def start_process(name: str, rules: Rules, stack: ExitStack) -> Process | None:
    """Starts a contestant and waits until it is ready; the stack ends it. Returns None if it fails."""
    rules.on_progress(f"starting {name}")
    try:
        process = Process(name, rules.task, rules.pythons.get(name, sys.executable), rules.limit_seconds)
        stack.callback(process.stop)
        process.introduce()
    except Unavailable as error:
        rules.on_left_out(name, str(error))
        return None
    except ContestantError as error:
        report(name, error, rules)
        return None
    return process


def play(processes: Sequence[Process], turns: int, rules: Rules) -> dict[str, list[Turn]]:
    """Lets contestants take turns, in rotating order; returns the turns of each that has one that counts."""
    played: dict[str, list[Turn]] = {process.name: [] for process in processes}
    waiting = list(processes)
    for turn in range(turns + 1):
        for process in waiting[turn % len(waiting or [1]) :] + waiting[: turn % len(waiting or [1])]:
            rules.on_progress(f"{process.name}, turn {turn} of {turns}")
            try:
                played[process.name].append(Turn(process.ask("train", turn), process.ask("predict", turn)))
            except ContestantError as error:
                waiting.remove(process)
                if isinstance(error, OutOfTime) and len(played[process.name]) > 1:
                    continue
                del played[process.name]
                report(process.name, error, rules)
    return played
