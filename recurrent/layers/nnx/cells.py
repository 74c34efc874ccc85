"""Flax NNX' cells as cells of this library: which one it is, and its params."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from flax.nnx.nn.recurrent import RNNCellBase

from recurrent.cells import CELLS
from recurrent.cells.protocol import Cell
from recurrent.interop.flax_cells import linen_params, nnx_params

__all__ = ["cell_params", "equal_of", "why_not"]

KINDS: Mapping[type[RNNCellBase], str] = MappingProxyType(
    {nnx.LSTMCell: "lstm", nnx.OptimizedLSTMCell: "lstm", nnx.GRUCell: "gru", nnx.SimpleCell: "simple_rnn"}
)
"""Flax' cells that have an equal here, and its name."""

FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"gate_fn": jax.nn.sigmoid, "activation_fn": jnp.tanh, "promote_dtype": promote_dtype}
)


def why_not(cell: RNNCellBase) -> str | None:
    """Returns the reason why a cell of Flax has no equal here, or None."""
    name = type(cell).__name__
    if type(cell) not in KINDS:
        return f"{name} is none of {', '.join(kind.__name__ for kind in KINDS)}"
    for field, function in FUNCTIONS.items():
        if getattr(cell, field, function) is not function:
            return f"{name} has another {field}"
    if getattr(cell, "residual", False):
        return f"{name} has residual=True"
    for field in _linears(cell):
        if type(getattr(cell, field)) is not nnx.Linear:
            return f"the {name}'s {field} is a {type(getattr(cell, field)).__name__}"
    return None


def equal_of(cell: RNNCellBase) -> Cell:
    """Returns the cell that equals a cell of Flax."""
    return CELLS[KINDS[type(cell)]]


def cell_params(cell: RNNCellBase) -> Any:
    """Returns the params of a cell of Flax as those of our cell."""
    # Not `params_from`, whose checks of values would wait for the device at each eager call.
    arrays = {}
    for name in _linears(cell):
        linear = getattr(cell, name)
        for field in ("kernel", "bias"):
            if (param := getattr(linear, field)) is not None:
                arrays[f"{name.rstrip('_')}/{field}"] = param.get_value()
    return (linen_params if type(cell) is nnx.LSTMCell else nnx_params)(KINDS[type(cell)], arrays)


def _linears(cell: RNNCellBase) -> tuple[str, ...]:
    of_lstm = ("ii", "if_", "ig", "io", "hi", "hf", "hg", "ho")
    return of_lstm if type(cell) is nnx.LSTMCell else ("dense_i", "dense_h")
