"""Notices a process that is lost: each one gives a sign of life every second, and looks for those of the others.

Only differences of this machine's own monotonic clock count, so clocks of machines may differ. A process that waits for
a lost one within a compiled program cannot be interrupted; after some seconds this thread ends it, which loses nothing,
since a resume gives the same bits.
"""

import atexit
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jax

__all__ = ["BEAT_SECONDS", "GRACE_SECONDS", "LIMIT_SECONDS", "LostProcess", "Watch"]

BEAT_SECONDS = 1.0
LIMIT_SECONDS = 15.0
"""How long a process may be silent."""
GRACE_SECONDS = 10.0
"""How long the main thread may take to notice the loss by itself."""
_FOLDER = "recurrent/alive/"
_OF_EXCHANGE = re.compile(r"(UNKNOWN|INTERNAL|UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED|FAILED_PRECONDITION): ")


class LostProcess(RuntimeError):
    """Raised when another process of the run is gone. The run can be resumed.

    >>> from recurrent.training import LostProcess
    >>> try:
    ...     raise LostProcess("process 1 of 2 is gone")
    ... except RuntimeError as error:
    ...     print(error)
    process 1 of 2 is gone
    """


class Watch:
    """A thread of one process that watches the others."""

    def __init__(self, client: Any, index: int, count: int, is_joined: Callable[[], bool] = lambda: True) -> None:
        """Stores the arguments; `start` begins. The thread ends when `is_joined` returns false."""
        self._client, self._index, self._count, self._is_joined = client, index, count, is_joined
        name = f"process {os.getpid()} on {socket.gethostname()}"
        self._own: dict[str, Any] = {"process": name, "beat": 0, "state": "here"}
        self._seen: dict[int, tuple[dict[str, Any], float]] = {}  # what each said last, and when it was heard first
        self._failed: dict[int, float] = {}  # when each one said that it ends with an error
        self._heard = time.monotonic()  # when the store answered last
        self._lost: str | None = None
        self._is_told = False
        self._since: float | None = None  # when the loss was noticed
        self._ending = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts the thread."""
        self._beat()
        atexit.register(self._at_exit)  # before JAX ends the store
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def check(self) -> None:
        """Raises LostProcess if a process is lost; takes back that this one has failed, since it goes on."""
        if self._lost is not None:
            self._is_told = True
            raise LostProcess(self._lost)
        if self._own["state"] == "failed":
            self._say(state="here")

    def at(self, number: int, name: str) -> None:
        """Notes which agreement this process is at; its next sign of life says so."""
        with self._lock:
            self._own["at"] = [number, name]

    def others_at(self, number: int) -> list[str]:
        """Returns what the other processes call the agreement of this number, of those that are at it."""
        seen = [content.get("at", [0, ""]) for content, _ in list(self._seen.values())]
        return [name for there, name in seen if there == number]

    def passed(self) -> int:
        """Returns the number of an agreement that all others have reached; all before it are done in all processes."""
        numbers = [content.get("at", [0, ""])[0] for content, _ in list(self._seen.values())]
        return min(numbers) if len(numbers) == self._count - 1 else 0

    def has_left(self, index: int) -> bool:
        """Says whether a process has ended without an error."""
        return index in self._seen and self._seen[index][0]["state"] == "left"

    def explain(self, error: BaseException) -> None:
        """Raises LostProcess if the loss of a process explains an error; otherwise lets the others know the error.

        When a process is lost, the exchange between devices fails at once, and its silence is noticed later.
        """
        if _may_be_of_exchange(error):
            deadline = time.monotonic() + LIMIT_SECONDS + 3 * BEAT_SECONDS
            while self._lost is None and time.monotonic() < deadline:
                time.sleep(BEAT_SECONDS / 4)
        if self._lost is not None:
            self._is_told = True
            if not isinstance(error, LostProcess):
                raise LostProcess(self._lost) from error
            return
        if isinstance(error, Exception):
            self._say(state="failed", text=f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")

    def leave(self) -> None:
        """Ends the thread; the others no longer wait for signs of life."""
        self._ending.set()
        self._say(state="left")

    def stop(self) -> None:
        """Ends the thread, and says nothing to the others."""
        self._ending.set()
        atexit.unregister(self._at_exit)

    def end(self) -> None:
        """Says that this process ends after an error. Process 0, whose store they need, waits for the others to end."""
        self._say(state="ended")
        self._look()  # the first time, if it ends soon after its start
        # One that is stuck in a compiled program notes the error after GRACE_SECONDS / 2 and ends GRACE_SECONDS later.
        deadline = time.monotonic() + 1.5 * GRACE_SECONDS + 3 * BEAT_SECONDS
        while self._index == 0 and self._has_company() and time.monotonic() < deadline:
            time.sleep(BEAT_SECONDS / 10)
            self._look()

    def _has_company(self) -> bool:
        """Says whether another process is alive."""
        since = time.monotonic() - LIMIT_SECONDS
        seen = list(self._seen.values())  # the thread adds to it
        return any(content["state"] not in ("ended", "left") and heard > since for content, heard in seen)

    def lose(self, index: int, why: str) -> None:
        """Notes that a process is lost, the first one only."""
        if self._lost is None:
            name = self._seen[index][0]["process"] if index in self._seen else ""
            who = f"process {index} of {self._count}" + (f" ({name})" if name else "")
            self._lost = f"{who} {why}. Start all processes again to resume."
            self._since = time.monotonic()

    def _run(self) -> None:
        while not self._ending.wait(BEAT_SECONDS) and self._is_joined():
            self._beat()
            self._look()
            if self._since is not None and time.monotonic() > self._since + GRACE_SECONDS and not self._is_told:
                print(self._lost, file=sys.stderr, flush=True)
                os._exit(1)

    def _at_exit(self) -> None:
        """Ends the thread. The others no longer wait for signs of life, unless an error ends this process."""
        self._ending.set()
        has_failed = any(getattr(sys, name, None) is not None for name in ("last_exc", "last_value"))
        if self._own["state"] == "here" and not has_failed and self._is_joined():
            self._say(state="left")

    def _beat(self) -> None:
        self._say(beat=self._own["beat"] + 1)

    def _say(self, **changes: Any) -> None:
        with self._lock:
            self._own.update(changes)
            with suppress(jax.errors.JaxRuntimeError):  # `_look` notices that the store is gone
                self._client.key_value_set(f"{_FOLDER}{self._index}", json.dumps(self._own), allow_overwrite=True)

    def _look(self) -> None:
        now = time.monotonic()
        try:
            said = self._client.key_value_dir_get(_FOLDER)
            self._heard = now
        except jax.errors.JaxRuntimeError:
            if now > self._heard + LIMIT_SECONDS:
                self.lose(0, f"is gone: it has not answered for {LIMIT_SECONDS:.0f} s")
            return
        for key, content in said:
            self._note(int(key.rpartition("/")[2]), json.loads(content), now)

    def _note(self, index: int, content: dict[str, Any], now: float) -> None:
        last, since = self._seen.get(index, (None, now))
        if index == self._index:
            return
        if last != content:
            self._seen[index] = (content, now)
        elif content["state"] != "left" and now > since + LIMIT_SECONDS:
            self.lose(index, f"is gone: no sign of life for {LIMIT_SECONDS:.0f} s")
        if content["state"] not in ("failed", "ended"):
            self._failed.pop(index, None)
        elif now > self._failed.setdefault(index, now) + GRACE_SECONDS / 2:  # it may be an error that all have
            self.lose(index, f"ended with an error: {content.get('text', 'it was interrupted')}")


def _may_be_of_exchange(error: BaseException | None) -> bool:
    """Says whether an error, or its cause, may come from an exchange between processes.

    Gloo's errors reach Python as ValueError. In a save that all processes write, one is the cause of an OSError.
    """
    is_kind = isinstance(error, jax.errors.JaxRuntimeError | ValueError)
    if is_kind and _OF_EXCHANGE.match(str(error)):
        return True
    return error is not None and _may_be_of_exchange(error.__cause__)
