"""What the loop over segments takes and returns, besides the carry and the steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from recurrent.call.steps import Carry, Steps
from recurrent.cells.protocol import Cell

__all__ = ["Gradients", "Settings", "Weights"]


@dataclass(frozen=True)
class Settings:
    """What is static in a run."""

    cell: Cell
    make_inputs: Callable[..., Any]  # (constants, fixed, a segment of inputs) -> the cell's inputs
    reverse: bool
    dtype: Any
    keeps_outputs: bool
    collects: bool  # whether the cotangents of `make_inputs` are computed once, after the loop


class Weights(NamedTuple):
    """Arrays that all steps and rows share."""

    params: Any
    constants: list[Any]  # arrays of `make_inputs`, such as an embedding
    fixed: list[Any] | None  # those without a derivative, such as integers and keys


class Gradients(NamedTuple):
    """Cotangents of a segment's arguments."""

    params: Any
    carry: Carry
    steps: Steps  # `inputs` are the cell's inputs; None for arguments without a derivative
