"""The cells that are compared, some of them with chrono initialization.

Chrono initialization (Tallec & Ollivier 2018) draws gate biases so that, before training, the units remember for 1 to
T_max steps; T_max is the task's lag. This module does not import JAX, so that the command line responds fast.
"""

from dataclasses import dataclass
from types import MappingProxyType

from experiments.figures import CELL_LABELS

__all__ = ["CONTESTANTS", "Contestant"]


@dataclass(frozen=True)
class Contestant:
    """A cell of `recurrent.CELLS`, and how its params are initialized."""

    label: str
    cell: str
    is_chrono: bool = False


CONTESTANTS = MappingProxyType(
    {
        name: Contestant(label, name.removesuffix("_chrono"), is_chrono=name.endswith("_chrono"))
        for name, label in CELL_LABELS.items()
    }
)
