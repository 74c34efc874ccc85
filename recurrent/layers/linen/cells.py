"""Flax Linen's cells as cells of this library: which one it is, and its params from Flax' tree."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict

from recurrent.cells import CELLS
from recurrent.cells.protocol import Cell
from recurrent.interop.flax_cells import linen_params

__all__ = ["cell_params", "equal_of", "initial_carry", "why_not"]

KINDS: Mapping[type[nn.RNNCellBase], str] = MappingProxyType(
    {nn.LSTMCell: "lstm", nn.OptimizedLSTMCell: "lstm", nn.GRUCell: "gru", nn.SimpleCell: "simple_rnn"}
)
"""Flax' cells that have an equal here, and its name."""

GATE_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"gate_fn": jax.nn.sigmoid, "activation_fn": jnp.tanh}
)


def why_not(cell: nn.RNNCellBase) -> str | None:
    """Returns the reason why a cell of Flax has no equal here, or None."""
    name = type(cell).__name__
    if type(cell) not in KINDS:
        return f"{name} is none of {', '.join(kind.__name__ for kind in KINDS)}"
    for field, function in GATE_FUNCTIONS.items():
        if getattr(cell, field, function) is not function:
            return f"{name} has another {field}"
    return f"{name} has residual=True" if getattr(cell, "residual", False) else None


def equal_of(cell: nn.RNNCellBase) -> Cell:
    """Returns the cell that equals a cell of Flax."""
    return CELLS[KINDS[type(cell)]]


def cell_params(cell: nn.RNNCellBase, input_size: int) -> Any:
    """Returns the params of a bound cell as those of our cell; Flax draws them if there are none yet."""
    if cell.is_initializing() or "params" not in cell.variables:
        carry = cell.initialize_carry(jax.random.key(0), (input_size,))
        cell(carry, jnp.zeros(input_size, cell.dtype or cell.param_dtype))
    # Not `params_from`, whose checks of values would wait for the device at each eager call.
    return linen_params(KINDS[type(cell)], flatten_dict(nn.meta.unbox(cell.variables["params"]), sep="/"))


def initial_carry(cell: nn.RNNCellBase, key: Any, input_shape: tuple[int, ...]) -> Any:
    """Returns the carry that Flax draws, or None where it is zero."""
    if cell.carry_init is nn.initializers.zeros_init():
        return None
    return cell.initialize_carry(jax.random.key(0) if key is None else key, input_shape)
