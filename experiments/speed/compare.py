"""The comparison: contestants take turns on the same batches, and what they compute must agree before speed counts."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from experiments.speed.task import Task

__all__ = ["Result", "compare"]

TOLERANCE = 1e-3
"""Relative difference of losses that rounding explains after this many steps."""


class Result(NamedTuple):
    """What one contestant did; seconds are medians over turns, of one step."""

    contestant: str
    version: str
    train_seconds: float
    train_best_seconds: float
    predict_seconds: float
    first_seconds: float  # of the first turn's training steps together, compilation included
    losses: list[float]  # of each turn


class _Worker:
    """The process of a contestant."""

    def __init__(self, name: str, task: Task) -> None:
        command = [sys.executable, "-m", "experiments.speed.worker", name, json.dumps(dataclasses.asdict(task))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.name = name
        self.process: Any = subprocess.Popen(command, text=True, **pipes)
        self.version = ""

    def introduce(self) -> None:
        """Waits until the contestant is built."""
        self.version = self._answer()["version"]

    def ask(self, command: str, turn: int) -> dict[str, Any]:
        self.process.stdin.write(f"{command} {turn}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} failed:\n{self.process.stderr.read()[-2000:]}")
        return json.loads(line)

    def stop(self) -> None:
        with self.process:  # closes the pipes, which tells the worker to end, and waits for it
            self.process.stdin.close()


def compare(names: Sequence[str], task: Task, turns: int, on_progress: Callable[[str], None]) -> list[Result]:
    """Lets contestants take turns, in an order that rotates; the first turn of each, which compiles, does not count.

    Raises:
        RuntimeError: a contestant failed, or its losses or logits differ from the first one's.
    """
    with ExitStack() as stack:
        workers = []
        for name in names:
            on_progress(f"{task.cell}: starting {name}")
            workers.append(_Worker(name, task))
            stack.callback(workers[-1].stop)
            workers[-1].introduce()
        answers: dict[str, list[Any]] = {name: [] for name in names}
        for turn in range(turns + 1):
            for worker in workers[turn % len(workers) :] + workers[: turn % len(workers)]:
                on_progress(f"{task.cell}: {worker.name}, turn {turn} of {turns}")
                answers[worker.name].append((worker.ask("train", turn), worker.ask("predict", turn)))
        return [_result(worker, task, answers) for worker in workers]


def _result(worker: _Worker, task: Task, answers: dict[str, list[Any]]) -> Result:
    mine, first = answers[worker.name], next(iter(answers.values()))
    for turn, ((train, predict), (expected, logits)) in enumerate(zip(mine, first, strict=True)):
        difference = abs(train["result"] / expected["result"] - 1)
        spread = float(np.max(np.abs(np.subtract(predict["result"], logits["result"]))))
        if not (difference < TOLERANCE and spread < 100 * TOLERANCE):
            raise RuntimeError(
                f"{worker.name} computes something else in turn {turn}: loss {train['result']}, not "
                f"{expected['result']}; logits differ by up to {spread:.2g}."
            )
    trained = [train["seconds"] for train, _ in mine[1:]]
    return Result(
        contestant=worker.name,
        version=worker.version,
        train_seconds=median(trained),
        train_best_seconds=min(trained),
        predict_seconds=median(predict["seconds"] for _, predict in mine[1:]),
        first_seconds=mine[0][0]["seconds"] * task.steps,
        losses=[train["result"] for train, _ in mine],
    )
