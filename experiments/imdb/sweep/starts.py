"""The starts of a setting that never ended, so that one which kills every process does not stop a sweep for ever.

    settings/<number>/starts    a line of JSON for each start

A process that ends in order removes its line, also after a signal or where the disk is full or data are damaged. Of
one that is killed, for example by the kernel when memory runs out, the line stays. Starts count as long as no step was
saved since.
"""

import contextlib
import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from experiments.imdb.reviews.own.shards import CorruptShardError
from recurrent.training import Stopped
from recurrent.training.atomic import write_text

__all__ = ["MOST_STARTS", "DataError", "Starts"]

MOST_STARTS = 3
"""After so many starts that never ended and saved nothing, a setting has failed."""


class DataError(ValueError):
    """The sweep's data can't be read or have changed, which is no setting's fault."""


class Starts:
    """The starts of a setting, whose lock is held; in a `with`, one more.

    Args:
        folder: the setting's.
        saved_steps: of all its runs, so far.
    """

    def __init__(self, folder: Path, saved_steps: int) -> None:
        """Reads the starts that never ended."""
        self._path, self._saved_steps = folder / "starts", saved_steps
        self._lines = self._read()

    @property
    def count(self) -> int:
        """Returns how many starts never ended and saved nothing."""
        return len(self._lines)

    @property
    def failure(self) -> str | None:
        """Returns why the setting has failed; None if it has not."""
        if self.count < MOST_STARTS:
            return None
        errors = [line["error"] for line in self._lines if line.get("error")]
        how = f"the last error: {errors[-1]}" if errors else "killed each time; perhaps memory ran out"
        return f"{self.count} processes began to train it, and none saved a step ({how})"

    def forget(self) -> None:
        """Removes the lines, so that a person can have the setting trained again."""
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Adds a start.

        Raises:
            OSError: the disk is full.
        """
        self._write([*self._lines, self._own()])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Takes the start back, or notes the error that ends this process if the setting may be the reason."""
        if isinstance(error, Exception) and not isinstance(error, OSError | Stopped | CorruptShardError | DataError):
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            with contextlib.suppress(OSError):  # the start counts without it, and the error goes on
                self._write([*self._lines, {**self._own(), "error": text}])
        elif self._lines:
            os.truncate(self._path, len(_in_json(self._lines)))  # needs no room on a full disk
        else:
            self.forget()

    def _own(self) -> dict[str, Any]:
        return {"process": f"process {os.getpid()} on {socket.gethostname()}", "saved_steps": self._saved_steps}

    def _read(self) -> list[dict[str, Any]]:
        """Reads the lines since the last saved step."""
        if not self._path.exists():
            return []
        found = []
        for text in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                found.append(json.loads(text))
        return [line for line in found if isinstance(line, dict) and line.get("saved_steps") == self._saved_steps]

    def _write(self, lines: list[dict[str, Any]]) -> None:
        write_text(self._path, _in_json(lines))


def _in_json(lines: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)
