"""The comparison: contestants take turns on the same batches, and their losses and logits must agree."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from statistics import median

import numpy as np

from experiments.speed.measurement import Measurement
from experiments.speed.process import ContestantError, Process
from experiments.speed.task import Task
from experiments.speed.turns import Rules, Turn, play, report, start_process

__all__ = ["compare"]

TOLERANCE = 1e-3
"""Relative difference of losses that rounding explains after this many steps."""


def compare(
    names: Sequence[str],
    task: Task,
    turns: int,
    on_progress: Callable[[str], None],
    *,
    on_failure: Callable[[str, str], None] | None = None,
    on_left_out: Callable[[str, str], None] = lambda name, reason: None,
    limit_seconds: float = float("inf"),
    with_memory: bool = False,
    pythons: Mapping[str, str] | None = None,
) -> list[Measurement]:
    """Lets contestants take turns, in rotating order. The first turn of each, which compiles, does not count.

    Args:
        names: of contestants.
        task: what each computes.
        turns: that count.
        on_progress: called with what happens next.
        on_failure: called with the name of a contestant that fails, and the reason; the contestant is then left out. By
            default, a failure ends the comparison.
        on_left_out: called with the name of a contestant that can't take part on this machine, and the reason.
        limit_seconds: time limit of each contestant, including its start. When it is exceeded, the contestant stops
            taking turns; it has failed if none of its turns counts.
        with_memory: also measures memory, each contestant alone in a fresh process.
        pythons: contestant -> the Python that runs it, if it is not this one.

    Raises:
        RuntimeError: a contestant failed, or its losses or logits differ from those of the first one.
    """
    rules = Rules(task, on_progress, on_failure, on_left_out, limit_seconds, pythons or {})
    measurements = []
    with ExitStack() as stack:
        processes = [process for name in names if (process := start_process(name, rules, stack)) is not None]
        played = play(processes, turns, rules)
        expected = next(iter(played.values()), [])
        for process in processes:
            try:
                if process.name in played:
                    _check(process.name, played[process.name], next(iter(played)), expected)
                    measurements.append(_summarise(process, task, played[process.name]))
            except ContestantError as error:
                report(process.name, error, rules)
    return [_with_memory(each, rules) for each in measurements] if with_memory else measurements


def _check(name: str, mine: Sequence[Turn], first: str, expected: Sequence[Turn]) -> None:
    """Compares losses and logits with those of the first contestant, over the turns that both took."""
    for turn, (actual, wanted) in enumerate(zip(mine, expected, strict=False)):
        difference = abs(actual.train["result"] / wanted.train["result"] - 1)
        spread = float(np.max(np.abs(np.subtract(actual.predict["result"], wanted.predict["result"]))))
        if not (difference < TOLERANCE and spread < 100 * TOLERANCE):
            raise ContestantError(
                f"{name} and {first} do not agree in turn {turn}: loss {actual.train['result']}, not "
                f"{wanted.train['result']}; logits differ by up to {spread:.2g}."
            )


def _summarise(process: Process, task: Task, turns: Sequence[Turn]) -> Measurement:
    trained = [turn.train["seconds"] for turn in turns[1:]]
    return Measurement(
        contestant=process.name,
        **process.introduction,
        turns=len(trained),
        train_seconds=median(trained),
        train_best_seconds=min(trained),
        predict_seconds=median(turn.predict["seconds"] for turn in turns[1:]),
        first_seconds=turns[0].train["seconds"] * task.steps,
        losses=[turn.train["result"] for turn in turns],
    )


def _with_memory(measurement: Measurement, rules: Rules) -> Measurement:
    """Adds the peak memory of a fresh process, which runs while no other contestant does."""
    with ExitStack() as stack:
        process = start_process(measurement.contestant, rules, stack)
        if process is None:
            return measurement
        rules.on_progress(f"{measurement.contestant}, memory")
        try:
            return measurement._replace(**process.ask("memory", 0))
        except ContestantError as error:
            report(measurement.contestant, error, rules)
            return measurement
