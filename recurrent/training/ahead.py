"""Draws the next chunk in a thread while the devices compute the one before."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Ahead"]

Drawn = TypeVar("Drawn")
_PATIENCE_SECONDS = 5.0


class _Pending(NamedTuple):
    number: int
    drawn: Future
    thread: threading.Thread


class Ahead(Generic[Drawn]):
    """Results of `draw(number)`, of which one is drawn ahead. An error is raised where its result is taken."""

    def __init__(self, draw: Callable[[int], Drawn]) -> None:
        """Stores the function; draws nothing."""
        self._draw = draw
        self._pending: _Pending | None = None

    def announce(self, number: int) -> None:
        """Begins to draw what is taken next."""
        drawn: Future = Future()
        # A daemon: a source that never answers must not keep the process from ending.
        thread = threading.Thread(target=self._fulfil, args=(number, drawn), name="draw ahead", daemon=True)
        self._pending = _Pending(number, drawn, thread)
        thread.start()

    def take(self, number: int) -> Drawn:
        """Returns `draw(number)`; waits for it if it was announced."""
        pending, self._pending = self._pending, None
        if pending is not None:
            drawn = pending.drawn.result()
            if pending.number == number:
                return drawn
        return self._draw(number)

    def close(self) -> None:
        """Waits a moment for what was announced, and forgets it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.thread.join(_PATIENCE_SECONDS)

    def _fulfil(self, number: int, drawn: Future) -> None:
        try:
            drawn.set_result(self._draw(number))
        except BaseException as error:  # raised again by `take`
            drawn.set_exception(error)
