"""Processes that answer commands, such as a contestant's: starts one, sends commands, ends it when its time is up."""

import dataclasses
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.command_line import in_words
from experiments.speed.settings import environment
from experiments.speed.task import Task

__all__ = ["ContestantError", "OutOfTime", "Process", "Unavailable", "Worker", "with_root"]

_ROOT = Path(__file__).parents[2]


class ContestantError(RuntimeError):
    """A contestant failed, or does not agree with the others; names it and says how."""


class OutOfTime(ContestantError):
    """A contestant did not answer within its time limit."""


class Unavailable(ContestantError):
    """A contestant can't take part on this machine; says why."""


class Worker:
    """A process that reads commands and writes answers. All answers together must take at most `limit_seconds`."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], limit_seconds: float = float("inf")
    ) -> None:
        """Starts the process; `introduce` waits until it is ready.

        Raises:
            ContestantError: there is no such program.
        """
        self.name = name
        self.introduction: dict[str, Any] = {}
        self.seconds_left = limit_seconds
        self._limit_seconds = limit_seconds
        # A file, since a pipe that nobody reads fills up and stops the process.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
        try:
            self._process: Any = subprocess.Popen(command, text=True, env=environment, **pipes)
        except OSError as error:
            self._errors.close()
            raise ContestantError(f"{name} cannot start: {in_words(error)}") from error

    def introduce(self) -> None:
        """Waits until the contestant is ready, and reads its versions, device and settings.

        Raises:
            ContestantError: the process ended instead.
            Unavailable: the contestant can't take part here.
        """
        answer = self.answer()
        if "left_out" in answer:
            raise Unavailable(answer["left_out"])
        self.introduction = answer

    def ask(self, command: str, turn: int) -> dict[str, Any]:
        """Sends a command and returns the answer.

        Raises:
            ContestantError: the process ended instead.
            OutOfTime: its time is up; it was killed.
        """
        self.send(command, turn)
        return self.answer()

    def send(self, command: str, turn: int) -> None:
        """Sends a command; `answer` waits for its answer."""
        with suppress(BrokenPipeError):  # it has ended; reading its answer finds out
            self._process.stdin.write(f"{command} {turn}\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Waits for the next answer.

        Raises:
            ContestantError: the process ended instead.
            OutOfTime: its time is up; it was killed.
        """
        start = time.perf_counter()
        if not self._has_answer():
            self._process.kill()
            raise OutOfTime(f"{self.name} needs more than {self._limit_seconds:g} seconds")
        line = self._process.stdout.readline()
        self.seconds_left -= time.perf_counter() - start
        if not line:
            raise ContestantError(f"{self.name} failed ({self._ending()}):\n{self._last_errors()}")
        return json.loads(line)

    def _has_answer(self) -> bool:
        """Waits for a line or the end of the process; returns False if the time is up before."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return bool(selector.select(None if self.seconds_left == float("inf") else max(0, self.seconds_left)))

    def _ending(self) -> str:
        code = self._process.wait()
        return f"killed by signal {-code}, perhaps out of memory" if code == -9 else f"exit status {code}"

    def _last_errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:]

    def kill(self) -> None:
        """Ends the process at once; `stop` must follow."""
        self._process.kill()

    def end_input(self) -> None:
        """Lets the process end after its last answer; `stop` must follow."""
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def stop(self) -> None:
        """Ends the process after its last answer."""
        with self._process, self._errors:  # closes the pipes, which ends the process, and waits for it
            pass


class Process(Worker):
    """The process of a contestant."""

    def __init__(
        self, name: str, task: Task, python: str = sys.executable, limit_seconds: float = float("inf")
    ) -> None:
        """Starts the process; `introduce` waits until it is ready.

        Raises:
            ContestantError: there is no such Python.
        """
        command = [python, "-m", "experiments.speed.worker", name, json.dumps(dataclasses.asdict(task))]
        super().__init__(name, command, with_root(environment(name, task, os.environ)), limit_seconds)


def with_root(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which Python finds this project."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return {**environment, "PYTHONPATH": path}
