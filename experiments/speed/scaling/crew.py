"""The processes of a point: started together, asked together, ended together."""

import dataclasses
import json
import os
import sys
from typing import Any

from experiments.cluster import ADDRESS, COUNT, INDEX
from experiments.local_cluster import free_port
from experiments.speed.process import ContestantError, Worker, with_root
from experiments.speed.scaling.points import Point, cores_of
from experiments.speed.task import Task

__all__ = ["Crew"]


class Crew:
    """One or more processes that take the steps of a point together."""

    def __init__(self, point: Point, task: Task, cores: list[int], limit_seconds: float) -> None:
        """Starts the processes.

        Args:
            point: how many processes and devices.
            task: the sizes; the point's own batch takes the place of the task's.
            cores: the numbers of the machine's cores that may be used.
            limit_seconds: for all answers of a process together.
        """
        self.point, self.workers = point, list[Worker]()
        task = dataclasses.replace(task, batch=point.batch)
        address = f"127.0.0.1:{free_port()}"
        for index in range(point.processes):
            environment = {name: value for name, value in os.environ.items() if name not in (ADDRESS, COUNT, INDEX)}
            if point.processes > 1:
                environment |= {ADDRESS: address, COUNT: str(point.processes), INDEX: str(index)}
            sizes = (point._asdict(), dataclasses.asdict(task), cores_of(point, index, cores))
            command = [sys.executable, "-m", "experiments.speed.scaling.worker", *map(json.dumps, sizes)]
            name = str(point) if point.processes == 1 else f"process {index} of {point}"
            self.workers.append(Worker(name, command, with_root(environment), limit_seconds))

    @property
    def introduction(self) -> dict[str, Any]:
        """What process 0 wrote when it was ready."""
        return self.workers[0].introduction

    def introduce(self) -> None:
        """Waits until all are ready.

        Raises:
            ContestantError: a process ended instead; names it.
        """
        for worker in self.workers:
            worker.introduce()

    def train(self, turn: int) -> dict[str, Any]:
        """Has the steps of a turn taken; returns the loss, and the seconds a step of the slowest process.

        Raises:
            ContestantError: a process ended instead, or their losses differ.
        """
        for worker in self.workers:
            worker.send("train", turn)
        answers = [worker.answer() for worker in self.workers]
        if len({answer["loss"] for answer in answers}) > 1:
            raise ContestantError(f"{self.point}: the processes' losses differ: {answers}.")
        return max(answers, key=lambda answer: answer["seconds"])

    def stop(self, is_failed: bool = False) -> None:
        """Ends all processes: after their last answer, or at once where one has failed, for which the others wait."""
        for worker in self.workers:
            if is_failed:
                worker.kill()
            worker.end_input()
        for worker in self.workers:
            worker.stop()
