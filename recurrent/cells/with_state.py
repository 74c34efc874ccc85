"""A cell whose outputs contain its states."""

from typing import Any

from recurrent.cells.wrapped import Wrapped

__all__ = ["WithState"]


class WithState(Wrapped):
    """A cell whose output is its own output and its new state, so that the state after each step can be read."""

    def update(self, params: Any, state: Any, projected: Any, recurrent: Any) -> tuple[Any, Any]:
        """Returns the new state, and the output with it."""
        state, output = self.cell.update(params, state, projected, recurrent)
        return state, (output, state)
