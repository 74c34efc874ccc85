"""Whether the native backend can run a call, and what it keeps for the backward pass."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused.forward_mode import is_pushed_forward
from recurrent.backends.native.library import load
from recurrent.call.call import ARRAYS, Call
from recurrent.call.meshes import is_placed_in_parts, is_split
from recurrent.cells import gru, lstm, simple_rnn
from recurrent.cells.precision import carry_dtype
from recurrent.cells.with_state import WithState

__all__ = [
    "KINDS",
    "NUM_KEPT",
    "base_cell",
    "num_states",
    "padded",
    "segment_size",
    "shares_prefix",
    "skips",
    "why_not",
    "why_not_arrays",
]

KINDS = (simple_rnn, lstm, gru)
"""The cells, in the order of their numbers in `handlers.cc`."""

DTYPES = ("float32", "float64", "bfloat16")

NUM_KEPT = {simple_rnn: 2, lstm: 7, gru: 6}
"""The numbers that the forward pass keeps of a step, for each unit."""

MOST_KEPT_BYTES = {"narrow": 2**27, "wide": 2**29}
"""The largest size of what one call keeps of all steps; beyond it, segments are computed again in the backward pass.

A wide cell may keep more, since to compute its steps again takes longer for the same bytes (decision 19).
"""

WIDE = 256
"""The least sum of input and hidden size of a wide cell."""

SEGMENT_SIZE = 64


def why_not(call: Call) -> str | None:
    """Returns the reason why this backend cannot run a call, or None."""
    if jax.default_backend() != "cpu":
        return f"it is for CPUs, and JAX computes on {jax.default_backend()}"
    if base_cell(call.cell) not in KINDS:
        return "the cell is none of simple_rnn, lstm and gru"
    reason = why_not_arrays(call)
    return load().why_not if reason is None else reason


def why_not_arrays(call: Call) -> str | None:
    """Returns the reason why no compiled code of this package can run a call, or None."""
    arrays = [getattr(call, name) for name in ARRAYS]
    if not all(isinstance(size, int) for leaf in jax.tree.leaves(arrays) for size in jnp.shape(leaf)):
        return "a size is symbolic, and C++ needs numbers"
    if getattr(jax.config, "jax_disable_jit", False):
        return "`jit` is disabled, and no step of this backend could be seen"
    if is_pushed_forward(arrays):
        return "the call is differentiated in forward mode, and the custom derivative is for reverse mode"
    if any(is_split(leaf) for leaf in jax.tree.leaves(call.inputs)):
        return "the batch is sharded over an explicit mesh, and XLA does not split a call of C++: use `jax.shard_map`"
    if any(is_split(leaf) or is_placed_in_parts(leaf) for leaf in jax.tree.leaves(call.params)):
        return "the params are split over devices, and XLA does not split a call of C++"
    dtypes = {str(leaf.dtype) for leaf in jax.tree.leaves(call.params)}
    if len(dtypes) > 1 or dtypes.isdisjoint(DTYPES):
        return f"the params are {', '.join(sorted(dtypes))}, and all must be of one of {', '.join(DTYPES)}"
    return None


def skips(call: Call) -> bool:
    """Returns whether there are steps of a row that are not computed."""
    return call.is_token is not None or shares_prefix(call)


def shares_prefix(call: Call) -> bool:
    """Returns whether the prefix is computed once for all rows."""
    return call.has_one_prefix


def segment_size(call: Call) -> int | None:
    """Returns the number of steps of a segment, or None if the residuals of all steps are kept."""
    if call.segment_size is not None:
        return call.segment_size
    kernel, num_rows = call.params.recurrent_kernel, math.prod(call.layout.batch) + (call.prefix is not None)
    dtype = carry_dtype(kernel.dtype)
    num_numbers = num_rows * call.layout.num_steps * NUM_KEPT[base_cell(call.cell)] * padded(len(kernel), dtype)
    width = "wide" if len(kernel) + len(call.params.input_kernel) >= WIDE else "narrow"
    return None if num_numbers * dtype.itemsize <= MOST_KEPT_BYTES[width] else SEGMENT_SIZE


def padded(size: int, dtype: Any) -> int:
    """Returns a number of units, rounded up to whole vectors."""
    lanes = load().vector_bytes // dtype.itemsize
    return math.ceil(size / lanes) * lanes


def base_cell(cell: Any) -> Any:
    """Returns the cell inside a `WithState`, or the cell itself."""
    return cell.cell if isinstance(cell, WithState) else cell


def num_states(cell: Any) -> int:
    """Returns the arrays of a cell's state."""
    return 2 if cell is lstm else 1
