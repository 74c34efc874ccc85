"""A contestant's process as seen from outside: starts it, asks it, and ends it when its time is up."""

import dataclasses
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.command_line import in_words
from experiments.speed.contestants import CONTESTANTS
from experiments.speed.task import Task

__all__ = ["ContestantError", "OutOfTime", "Process"]

_ROOT = Path(__file__).parents[2]
_ENVIRONMENT = {
    # Contestants share one accelerator, so none may take it whole before the others start.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


class ContestantError(RuntimeError):
    """A contestant failed, or computes something else; says which and how."""


class OutOfTime(ContestantError):
    """A contestant did not answer in the time it has."""


class Process:
    """A contestant at work; what it is asked for, it must answer within `limit_seconds` in all."""

    def __init__(
        self, name: str, task: Task, python: str = sys.executable, limit_seconds: float = float("inf")
    ) -> None:
        """Starts it; `introduce` waits until it is ready.

        Raises:
            ContestantError: there is no such Python.
        """
        self.name = name
        self.introduction: dict[str, Any] = {}
        self.seconds_left = limit_seconds
        self._limit_seconds = limit_seconds
        # A file, since a pipe that nobody reads fills up and stops the process.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [python, "-m", "experiments.speed.worker", name, json.dumps(dataclasses.asdict(task))]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
        try:
            self._process: Any = subprocess.Popen(command, text=True, env=_environment(name), **pipes)
        except OSError as error:
            self._errors.close()
            raise ContestantError(f"{name} cannot start: {in_words(error)}") from error

    def introduce(self) -> None:
        """Waits until the contestant is built."""
        self.introduction = self._answer()

    def ask(self, command: str, turn: int) -> dict[str, Any]:
        """Has a command done and returns the answer.

        Raises:
            ContestantError: the process ended instead.
            OutOfTime: its time is up; it is ended.
        """
        try:
            self._process.stdin.write(f"{command} {turn}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which reading its answer will tell
        return self._answer()

    def _answer(self) -> dict[str, Any]:
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
        """Waits until there is a line to read, or the end of the process; False when the time is up first."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return bool(selector.select(None if self.seconds_left == float("inf") else max(0, self.seconds_left)))

    def _ending(self) -> str:
        code = self._process.wait()
        return f"killed by signal {-code}, perhaps for want of memory" if code == -9 else f"exit status {code}"

    def _last_errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:]

    def stop(self) -> None:
        """Ends the process, once it has answered."""
        with self._process, self._errors:  # closes the pipes, which tells it to end, and waits for it
            pass


def _environment(name: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | _ENVIRONMENT | {"PYTHONPATH": path}
    if name in CONTESTANTS and CONTESTANTS[name].engine == "tensorflow":
        environment.pop("XLA_FLAGS", None)  # those of JAX' XLA, which TensorFlow's may not know and then aborts
    return environment
