"""The cells that the kernels compute, and their sizes."""

from typing import Any

from recurrent.cells import gru, lstm, simple_rnn

__all__ = ["KINDS", "NUM_KEPT", "SIZES", "num_gates", "num_states", "padded"]

KINDS = (simple_rnn, lstm, gru)
"""The cells, in the order of their numbers in `handlers.cu`."""

SIZES = (32, 64, 128)
"""The hidden sizes of the kernels; others are padded to the next one."""

NUM_KEPT = {simple_rnn: 1, lstm: 4, gru: 4}
"""The numbers of a unit that the forward pass keeps at a step, besides the state before it."""


def padded(hidden_size: int) -> int:
    """Returns the hidden size of the kernel that computes a cell."""
    return next(size for size in SIZES if size >= hidden_size)


def num_gates(cell: Any) -> int:
    """Returns the number of blocks of a cell's kernels."""
    return len(cell.GATES)


def num_states(cell: Any) -> int:
    """Returns the number of arrays of a cell's state."""
    return len(cell.State._fields)
