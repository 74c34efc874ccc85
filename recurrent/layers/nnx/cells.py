"""Flax NNX' cells as cells of this library: which one it is, and its params."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from flax.nnx.nn.recurrent import RNNCellBase
from jaxtyping import Array

from recurrent.cells import gru, lstm, simple_rnn
from recurrent.cells.protocol import Cell

__all__ = ["CELLS", "cell_params", "why_not"]

CELLS: Mapping[type[RNNCellBase], Cell] = MappingProxyType(
    {nnx.LSTMCell: lstm, nnx.OptimizedLSTMCell: lstm, nnx.GRUCell: gru, nnx.SimpleCell: simple_rnn}
)
"""Flax' cells that have an equal here."""

FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"gate_fn": jax.nn.sigmoid, "activation_fn": jnp.tanh, "promote_dtype": promote_dtype}
)


def why_not(cell: RNNCellBase) -> str | None:
    """Returns the reason why a cell of Flax has no equal here, or None."""
    name = type(cell).__name__
    if type(cell) not in CELLS:
        return f"{name} is none of {', '.join(kind.__name__ for kind in CELLS)}"
    for field, function in FUNCTIONS.items():
        if getattr(cell, field, function) is not function:
            return f"{name} has another {field}"
    if getattr(cell, "residual", False):
        return f"{name} has residual=True"
    for field in _linears(cell):
        if type(getattr(cell, field)) is not nnx.Linear:
            return f"the {name}'s {field} is a {type(getattr(cell, field)).__name__}"
    return None


def cell_params(cell: Any) -> Any:
    """Returns the params of a cell of Flax as those of our cell."""
    return (_split_lstm_params if type(cell) is nnx.LSTMCell else PARAMS[CELLS[type(cell)]])(cell)


def _linears(cell: RNNCellBase) -> tuple[str, ...]:
    of_lstm = ("ii", "if_", "ig", "io", "hi", "hf", "hg", "ho")
    return of_lstm if type(cell) is nnx.LSTMCell else ("dense_i", "dense_h")


def _simple_rnn_params(cell: nnx.SimpleCell) -> simple_rnn.Params:
    return simple_rnn.Params(_kernel(cell.dense_i), _kernel(cell.dense_h), _bias(cell.dense_i))


def _lstm_params(cell: nnx.OptimizedLSTMCell) -> lstm.Params:
    return lstm.Params(_kernel(cell.dense_i), _kernel(cell.dense_h), _bias(cell.dense_h))


def _split_lstm_params(cell: nnx.LSTMCell) -> lstm.Params:
    of_input, of_state = (cell.ii, cell.if_, cell.ig, cell.io), (cell.hi, cell.hf, cell.hg, cell.ho)
    return lstm.Params(
        jnp.concatenate([_kernel(linear) for linear in of_input], axis=-1),
        jnp.concatenate([_kernel(linear) for linear in of_state], axis=-1),
        jnp.concatenate([_bias(linear) for linear in of_state], axis=-1),
    )


def _gru_params(cell: nnx.GRUCell) -> gru.Params:
    """Reorders the gates from r, z, n to z, r, n; Flax has no recurrent biases."""
    bias = _reorder(_bias(cell.dense_i))
    kernels = _reorder(_kernel(cell.dense_i)), _reorder(_kernel(cell.dense_h))
    return gru.Params(*kernels, jnp.stack([bias, jnp.zeros_like(bias)]))


def _reorder(array: Array) -> Array:
    r, z, n = jnp.split(array, 3, axis=-1)
    return jnp.concatenate([z, r, n], axis=-1)


def _kernel(linear: nnx.Linear) -> Array:
    return linear.kernel.get_value()


def _bias(linear: Any) -> Array:
    return linear.bias.get_value()


PARAMS: Mapping[Cell, Callable[[Any], Any]] = MappingProxyType(
    {simple_rnn: _simple_rnn_params, lstm: _lstm_params, gru: _gru_params}
)
