"""Recurrent networks for JAX: cells as pure functions, scanned over time and mapped over batches."""

from recurrent.batch import run
from recurrent.cells import CELLS, Cell, gru, gru_reset_before, lstm, simple_rnn, step
from recurrent.sequence import scan_cell

__all__ = ["CELLS", "Cell", "gru", "gru_reset_before", "lstm", "run", "scan_cell", "simple_rnn", "step"]
