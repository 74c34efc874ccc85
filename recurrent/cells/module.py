"""The class of cell modules, which can be pickled and copied."""

import importlib
from types import ModuleType
from typing import Any

__all__ = ["CellModule"]


class CellModule(ModuleType):
    """A module of a cell's functions; pickles and copies store its name, as they do for functions and classes."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns the import that restores the module."""
        return importlib.import_module, (self.__name__,)
