"""Draws the next chunk in a thread while the devices compute the one before."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

__all__ = ["Ahead"]

Drawn = TypeVar("Drawn")
_PATIENCE_SECONDS = 5.0


class Ahead(Generic[Drawn]):
    """Results of `draw(number)`, of which one is drawn ahead. An error is raised where its result is taken.

    One thread draws them all: memory that a thread has freed stays with it, so a thread for each would hold more.
    """

    def __init__(self, draw: Callable[[int], Drawn]) -> None:
        """Stores the function; draws nothing."""
        self._draw = draw
        self._asked: queue.SimpleQueue[tuple[int, Future] | None] = queue.SimpleQueue()
        self._pending: tuple[int, Future] | None = None
        self._thread: threading.Thread | None = None

    def announce(self, number: int) -> None:
        """Begins to draw what is taken next."""
        if self._thread is None:
            # A daemon: a source that never answers must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name="draw ahead", daemon=True)
            self._thread.start()
        self._pending = number, Future()
        self._asked.put(self._pending)

    def take(self, number: int) -> Drawn:
        """Returns `draw(number)`; waits for it if it was announced."""
        pending, self._pending = self._pending, None
        if pending is not None:
            drawn: Any = pending[1].result()
            if pending[0] == number:
                return drawn
        return self._draw(number)

    def close(self) -> None:
        """Ends the thread; waits a moment for what it draws."""
        thread, self._thread, self._pending = self._thread, None, None
        if thread is not None:
            self._asked.put(None)
            thread.join(_PATIENCE_SECONDS)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            number, drawn = asked
            try:
                drawn.set_result(self._draw(number))
            except BaseException as error:  # raised again by `take`
                drawn.set_exception(error)
            del asked, drawn  # the chunk belongs to whoever takes it
