"""The ledger of a sweep: one file of lines that several processes append to, and the locks of its settings.

    sweep.json                       what is swept
    ledger.jsonl                     a line when a setting is chosen, and one when it is finished
    ledger.lock                      held while the ledger is read and written
    settings/<number>/               a setting: run.lock, held by the process that trains it
    settings/<number>/starts         starts that never ended; see `starts`
    settings/<number>/seed<seed>/    its runs

A setting is open from its first line to its second one. If the process that trains it is killed, the kernel releases
its lock, and the next process that looks for work resumes its runs.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from experiments.imdb.sweep.samplers import Tried
from recurrent.training.run.lock import RunLock

__all__ = ["Ledger", "Setting"]


class Setting(NamedTuple):
    """A setting of a sweep.

    Attributes:
        number: from 0.
        values: of the fields that are varied.
        best: the accuracy of each seed's best epoch; None while it is open, or if it failed.
        last: of each seed's last epoch.
        failure: why it has no accuracy; None if it has, or is open.
    """

    number: int
    values: Mapping[str, Any]
    best: Sequence[float] | None = None
    last: Sequence[float] | None = None
    failure: str | None = None

    @property
    def is_open(self) -> bool:
        """Says whether it is to be trained, or is being trained."""
        return self.best is None and self.failure is None

    @property
    def score(self) -> float | None:
        """Returns the mean accuracy of the best epochs."""
        return None if not self.best else sum(self.best) / len(self.best)

    def tried(self) -> Tried:
        """Returns what samplers need to know."""
        return Tried(self.values, self.score, self.failure is not None)


class Ledger:
    """The ledger in a folder. Reading needs no lock."""

    def __init__(self, folder: Path) -> None:
        """Stores the paths; nothing is touched."""
        self.folder, self._path = folder, folder / "ledger.jsonl"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Takes the lock under which settings are chosen; waits for other processes, which hold it for moments."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.folder / "ledger.lock"):
            yield

    def settings(self) -> list[Setting]:
        """Reads all settings so far, by number.

        Raises:
            ValueError: a line is not a ledger's. A last line that a kill cut off is ignored.
        """
        if not self._path.exists():
            return []
        *whole, _torn = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        found: dict[int, Setting] = {}
        for place, line in enumerate(whole, start=1):
            try:
                fields = json.loads(line)
                number = fields["setting"]
                if number not in range(len(found) + 1):
                    raise ValueError("its number is not the next one")
                found[number] = _updated(found.get(number), fields)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                if line.strip():  # a line that a kill cut off, and that was then ended
                    raise ValueError(f"{self._path}, line {place} is not a ledger's: {line[:80]!r}.") from error
        return [found[number] for number in sorted(found)]

    def add(self, values: Mapping[str, Any], failure: str | None = None) -> Setting:
        """Adds a setting, or one that no recipe has with the reason; the ledger is held."""
        setting = Setting(len(self.settings()), dict(values), failure=failure)
        failed = {} if failure is None else {"failure": failure}
        self._append({"setting": setting.number, "values": setting.values, **failed})
        return setting

    def finish(self, setting: Setting) -> None:
        """Writes a setting's accuracies, or why it failed; the ledger is held."""
        fields = {"best": setting.best, "last": setting.last} if setting.best else {"failure": setting.failure}
        self._append({"setting": setting.number, **fields})

    def place(self, number: int) -> Path:
        """Returns the folder of a setting."""
        return self.folder / "settings" / f"{number:04}"

    def claim(self, number: int) -> RunLock | None:
        """Takes the lock of a setting; None if another process has it."""
        self.place(number).mkdir(parents=True, exist_ok=True)
        lock = RunLock(self.place(number))
        try:
            lock.acquire()
        except RuntimeError:
            return None
        return lock

    def _append(self, fields: Mapping[str, Any]) -> None:
        """Appends a line, and waits until it is on disk; a line that a kill cut off is dropped before."""
        line = (json.dumps(fields) + "\n").encode()
        with self._path.open("ab+", buffering=0) as file:
            file.seek(0)
            content = file.read()
            end = content.rfind(b"\n") + 1
            if end < len(content):
                os.ftruncate(file.fileno(), end)
            try:
                if file.write(line) != len(line):
                    raise OSError(f"{self._path} could not be written: the disk is full.")
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), end)
                raise


def _updated(before: Setting | None, fields: Mapping[str, Any]) -> Setting:
    if before is None:
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in fields["values"].items()}
        before = Setting(fields["setting"], values)
        if not fields.keys() & {"failure", "best"}:
            return before
    if "failure" in fields:
        return before._replace(failure=str(fields["failure"]))
    best, last = ([float(each) for each in fields[name]] for name in ("best", "last"))
    if not best or len(best) != len(last):
        raise ValueError("it has no accuracy for each seed")
    return before._replace(best=best, last=last)
