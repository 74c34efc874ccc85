"""SIGTERM and Ctrl-C as a question that a loop asks between dispatches, so that a run can save before it leaves."""

import signal
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Interrupt", "Stopped"]


class Stopped(Exception):
    """Raised by long work between two of its parts when it was asked to stop; nothing of it is kept."""


class Interrupt:
    """A context manager that notes the first signal; a second one ends the process at once, as it would have done.

    Only the main thread can install it.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        """Nothing is installed before `with`."""
        self.received: signal.Signals | None = None

    def __enter__(self) -> Self:
        """Installs the handlers."""
        self._previous = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restores what was installed before."""
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: set from C

    def __bool__(self) -> bool:
        """Says whether a signal has come."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as shells report it; 0 if none came."""
        return 128 + self.received if self.received else 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for each in self.SIGNALS:
            signal.signal(each, signal.SIG_DFL)
