"""A cell inside another, which changes or watches some of it and leaves the rest as it is."""

from dataclasses import dataclass
from typing import Any, ClassVar

from recurrent.cells.protocol import Cell
from recurrent.shapes import RandomKey

__all__ = ["Wrapped"]


@dataclass(frozen=True)
class Wrapped:
    """Does what the cell does; to be derived from, with an `update` at least."""

    cell: Cell

    is_wrapper: ClassVar[bool] = True
    """Whose params are those of `cell`."""

    def init(self, key: RandomKey, input_size: int, hidden_size: int, *arguments: Any, **options: Any) -> Any:
        """Draws the cell's params."""
        return self.cell.init(key, input_size, hidden_size, *arguments, **options)

    def zero_state(self, params: Any) -> Any:
        """Returns the cell's state before the first step."""
        return self.cell.zero_state(params)

    def project(self, params: Any, x: Any) -> Any:
        """Projects the cell's input."""
        return self.cell.project(params, x)

    def recur(self, params: Any, state: Any) -> Any:
        """Returns what the cell's state contributes."""
        return self.cell.recur(params, state)
