"""SIGTERM and Ctrl-C as a condition that a loop checks between dispatches, so that a run can save before it ends."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Interrupt", "Stopped"]


class Stopped(Exception):
    """Raised by long work, such as an evaluation, when it is asked to stop; its partial result is discarded.

    >>> from recurrent.training import Stopped
    >>> def evaluate(params, should_stop=lambda: True):
    ...     if should_stop():
    ...         raise Stopped
    """


class Interrupt:
    """A context manager that notes the first SIGTERM or SIGINT. A second one ends the process at once.

    It is true once a signal has come. Only the main thread can use it.

    Args:
        on_signal: called with the first signal as soon as it comes, in a thread of its own, even while the main thread
            compiles or computes and Python's handlers have to wait. Not called on Windows.

    Attributes:
        received: the signal, or None.

    >>> from recurrent.training import Interrupt
    >>> with Interrupt() as interrupt:
    ...     step = 0
    ...     while step < 10 and not interrupt:
    ...         step += 1
    >>> interrupt.exit_code
    0
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, on_signal: Callable[[signal.Signals], None] | None = None) -> None:
        """Stores the arguments; nothing is installed before `with`."""
        self.received: signal.Signals | None = None
        can_listen = on_signal is not None and os.name == "posix"
        self._listener = _Listener(self.SIGNALS, on_signal) if can_listen else None

    def __enter__(self) -> Self:
        """Installs the handlers."""
        self._previous = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        if self._listener is not None:
            self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restores the previous handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: set from C
        if self._listener is not None:
            self._listener.stop()

    def __bool__(self) -> bool:
        """Says whether a signal has come."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """The exit code of a process ended by the signal, 128 plus its number; 0 if none came."""
        return 128 + self.received if self.received else 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for each in self.SIGNALS:
            signal.signal(each, signal.SIG_DFL)


class _Listener:
    """A thread that reads signals from the pipe into which the interpreter's C handler writes their numbers."""

    def __init__(self, signals: tuple[signal.Signals, ...], on_signal: Callable[[signal.Signals], None]) -> None:
        self._signals, self._on_signal = signals, on_signal

    def start(self) -> None:
        """Starts the thread."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)  # required by set_wakeup_fd
        self._previous = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        signal.set_wakeup_fd(self._previous)
        os.close(self._writer)  # the reader gets the end of file
        self._thread.join()
        os.close(self._reader)

    def _listen(self) -> None:
        has_come = False
        while number := os.read(self._reader, 1):
            if not has_come and number[0] in self._signals:
                has_come = True
                self._on_signal(signal.Signals(number[0]))
