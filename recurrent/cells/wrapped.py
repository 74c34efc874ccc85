"""The base class of cells that change or record a part of another cell."""

from dataclasses import dataclass
from typing import Any, ClassVar

from recurrent.cells.protocol import Cell
from recurrent.shapes import RandomKey

__all__ = ["Wrapped"]


@dataclass(frozen=True)
class Wrapped:
    """A cell that calls another cell; subclasses override some functions, and define `update`.

    Params and state are those of the wrapped cell.
    """

    cell: Cell

    is_wrapper: ClassVar[bool] = True
    """Marks a cell whose params are those of `cell`."""

    def init(self, key: RandomKey, input_size: int, hidden_size: int, *arguments: Any, **options: Any) -> Any:
        """Draws the cell's params."""
        return self.cell.init(key, input_size, hidden_size, *arguments, **options)

    def zero_state(self, params: Any) -> Any:
        """Returns the cell's state before the first step."""
        return self.cell.zero_state(params)

    def project(self, params: Any, x: Any) -> Any:
        """Returns the cell's `project`."""
        return self.cell.project(params, x)

    def recur(self, params: Any, state: Any) -> Any:
        """Returns the cell's `recur`."""
        return self.cell.recur(params, state)
