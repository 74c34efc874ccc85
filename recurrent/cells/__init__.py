"""The catalogue of cells: one module each, and `CELLS`, which maps the names stored in recipes and files to them."""

from types import MappingProxyType
from typing import Any, cast

from recurrent.cells import gru, gru_reset_before, layer_norm_gru, layer_norm_lstm, lstm, profiles, simple_rnn
from recurrent.cells.module import CellModule
from recurrent.cells.protocol import Cell, step

__all__ = [
    "CELLS",
    "Cell",
    "gru",
    "gru_reset_before",
    "layer_norm_gru",
    "layer_norm_lstm",
    "lstm",
    "profiles",
    "simple_rnn",
    "step",
]

CELLS = MappingProxyType(
    {
        "simple_rnn": simple_rnn,
        "lstm": lstm,
        "gru": gru,
        "gru_reset_before": gru_reset_before,
        "layer_norm_lstm": layer_norm_lstm,
        "layer_norm_gru": layer_norm_gru,
    }
)
"""Name -> cell module."""

for _cell in CELLS.values():
    cast(Any, _cell).__class__ = CellModule
