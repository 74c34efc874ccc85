"""Modules as cells: picklable and copyable, by name."""

import importlib
from types import ModuleType
from typing import Any

__all__ = ["CellModule"]


class CellModule(ModuleType):
    """A module of a cell's functions; pickles and copies refer to it by name, as they do to functions and classes."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Says how to find it again."""
        return importlib.import_module, (self.__name__,)
