"""Recurrent networks for JAX: cells as pure functions, scanned over time and mapped over batches."""

from recurrent import inspect, network, packing, regularize, sharding, stream
from recurrent.batch import run, run_final
from recurrent.call.prefix import Prefix
from recurrent.cells import (
    CELLS,
    Cell,
    gru,
    gru_reset_before,
    layer_norm_gru,
    layer_norm_lstm,
    lstm,
    profiles,
    simple_rnn,
    step,
)
from recurrent.explanation import explain
from recurrent.installed import refuse_another
from recurrent.network import Network, run_network, run_network_final, run_packed_network, step_network
from recurrent.packing import pack, run_packed
from recurrent.sequence import scan_cell

__version__ = "0.1.0"

__all__ = [
    "CELLS",
    "Cell",
    "Network",
    "Prefix",
    "explain",
    "gru",
    "gru_reset_before",
    "inspect",
    "layer_norm_gru",
    "layer_norm_lstm",
    "lstm",
    "network",
    "pack",
    "packing",
    "profiles",
    "regularize",
    "run",
    "run_final",
    "run_network",
    "run_network_final",
    "run_packed",
    "run_packed_network",
    "scan_cell",
    "sharding",
    "simple_rnn",
    "step",
    "step_network",
    "stream",
]

refuse_another()
