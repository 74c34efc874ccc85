"""The lock of a run directory: one process may write; another one gets an error that names the first."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import filelock

__all__ = ["RunLock"]


class RunLock:
    """A lock on a file in the folder; the kernel releases it however the process ends."""

    def __init__(self, folder: Path) -> None:
        """Stores the paths; nothing is touched."""
        self._folder = folder
        self._path = folder / "run.lock"
        self._lock = filelock.FileLock(self._path)
        self._holder = folder / "run.holder"

    def acquire(self, others: Sequence[str] = ()) -> None:
        """Takes the lock.

        Args:
            others: names of the other processes of the run, which this one writes for.

        Raises:
            RuntimeError: another process holds it; says which.
            OSError: the folder can't be written.
        """
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise RuntimeError(
                f"{self._folder} is being written by {self._named_holder()}; wait for it, or use another folder."
            ) from error
        name = f"process {os.getpid()} on {socket.gethostname()}"
        if others:
            name += f", which leads {', '.join(others)}"
        try:
            self._holder.write_text(f"{name}\n", encoding="utf-8")
        except OSError as error:  # a full disk: raised now instead of at the first save
            self._lock.release()
            raise OSError(f"{self._folder} can't be written: {error}.") from error

    def require(self) -> None:
        """Raises RuntimeError if this lock is not held."""
        if not self._lock.is_locked:
            raise RuntimeError(f"{self._folder} is not held by this process: use the run directory in a `with`.")

    def release(self) -> None:
        """Releases the lock."""
        try:
            self._holder.unlink(missing_ok=True)
        finally:
            self._lock.release()

    def holder(self) -> str | None:
        """Returns who holds the lock, without taking it; None if nobody does."""
        import fcntl  # here, since there is none on Windows

        try:
            with self._path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return self._named_holder()
        return None

    def _named_holder(self) -> str:
        try:
            return self._holder.read_text(encoding="utf-8").strip() or "another process"
        except OSError:
            return "another process"
