"""Flax Linen's cells as cells of this library: which one it is, and its params from Flax' tree."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array

from recurrent.cells import gru, lstm, simple_rnn
from recurrent.cells.protocol import Cell

__all__ = ["CELLS", "cell_params", "initial_carry", "why_not"]

Tree = Mapping[str, Mapping[str, Array]]

CELLS: Mapping[type[nn.RNNCellBase], Cell] = MappingProxyType(
    {nn.LSTMCell: lstm, nn.OptimizedLSTMCell: lstm, nn.GRUCell: gru, nn.SimpleCell: simple_rnn}
)
"""Flax' cells that have an equal here."""

GATE_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"gate_fn": jax.nn.sigmoid, "activation_fn": jnp.tanh}
)


def why_not(cell: nn.RNNCellBase) -> str | None:
    """Returns the reason why a cell of Flax has no equal here, or None."""
    name = type(cell).__name__
    if type(cell) not in CELLS:
        return f"{name} is none of {', '.join(kind.__name__ for kind in CELLS)}"
    for field, function in GATE_FUNCTIONS.items():
        if getattr(cell, field, function) is not function:
            return f"{name} has another {field}"
    return f"{name} has residual=True" if getattr(cell, "residual", False) else None


def cell_params(cell: nn.RNNCellBase, input_size: int) -> Any:
    """Returns the params of a bound cell as those of our cell; Flax draws them if there are none yet."""
    if cell.is_initializing() or "params" not in cell.variables:
        carry = cell.initialize_carry(jax.random.key(0), (input_size,))
        cell(carry, jnp.zeros(input_size, cell.dtype or cell.param_dtype))
    return PARAMS[CELLS[type(cell)]](nn.meta.unbox(cell.variables["params"]))


def initial_carry(cell: nn.RNNCellBase, key: Any, input_shape: tuple[int, ...]) -> Any:
    """Returns the carry that Flax draws, or None where it is zero."""
    if cell.carry_init is nn.initializers.zeros_init():
        return None
    return cell.initialize_carry(jax.random.key(0) if key is None else key, input_shape)


def _simple_rnn_params(tree: Tree) -> simple_rnn.Params:
    return simple_rnn.Params(tree["i"]["kernel"], tree["h"]["kernel"], tree["i"]["bias"])


def _lstm_params(tree: Tree) -> lstm.Params:
    return lstm.Params(
        _join(tree, ("ii", "if", "ig", "io"), "kernel"),
        _join(tree, ("hi", "hf", "hg", "ho"), "kernel"),
        _join(tree, ("hi", "hf", "hg", "ho"), "bias"),
    )


def _gru_params(tree: Tree) -> gru.Params:
    """Joins the gates in the order z, r, n; of the recurrent biases Flax has the candidate's alone."""
    bias = tree["hn"]["bias"]
    recurrent_bias = jnp.concatenate([jnp.zeros(2 * bias.size, bias.dtype), bias])
    return gru.Params(
        _join(tree, ("iz", "ir", "in"), "kernel"),
        _join(tree, ("hz", "hr", "hn"), "kernel"),
        jnp.stack([_join(tree, ("iz", "ir", "in"), "bias"), recurrent_bias]),
    )


def _join(tree: Tree, names: tuple[str, ...], array: str) -> Array:
    return jnp.concatenate([tree[name][array] for name in names], axis=-1)


PARAMS: Mapping[Cell, Callable[[Tree], Any]] = MappingProxyType(
    {simple_rnn: _simple_rnn_params, lstm: _lstm_params, gru: _gru_params}
)
