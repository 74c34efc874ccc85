"""Whether cuDNN can run a call."""

from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused.forward_mode import is_pushed_forward
from recurrent.backends.nvidia import why_not_cell, why_not_here
from recurrent.call.call import ARRAYS, Call
from recurrent.cells import lstm

__all__ = ["why_not"]

REFUSED = {
    "is_start": "starts within a row",
    "recurrent_mask": "a recurrent mask",
    "segment_size": "segments: it keeps the residuals of all steps",
    "truncate_every": "truncated gradients",
}
"""The options that cuDNN lacks."""


def why_not(call: Call) -> str | None:
    """Returns the reason why this backend cannot run a call, or None."""
    if (reason := why_not_cell(call.cell)) is not None:
        return reason
    if call.cell is not lstm:
        return "the cell is not lstm"
    for option, lacking in REFUSED.items():
        if getattr(call, option) is not None:
            return f"`{option}` is given, and cuDNN has no {lacking}"
    return why_not_here() or _why_not_arrays(call)


def _why_not_arrays(call: Call) -> str | None:
    arrays = [getattr(call, name) for name in ARRAYS]
    sizes = [size for leaf in jax.tree.leaves((call.params, call.inputs)) for size in jnp.shape(leaf)]
    if not all(isinstance(size, int) for size in sizes):
        return "a size is symbolic, and cuDNN needs numbers"
    if 0 in sizes:
        return "an axis has size 0"
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(call.params)}
    if dtypes != {jnp.dtype(jnp.float32)}:
        return f"the params are {', '.join(sorted(map(str, dtypes)))}, and all must be float32"
    if is_pushed_forward(arrays):
        return "the call is differentiated in forward mode, and cuDNN has reverse mode alone"
    if any(_is_mapped(leaf) for leaf in jax.tree.leaves(arrays)):
        return "the call is inside `vmap`: give `run` the batch axes in its place"
    return None


def _is_mapped(leaf: Any) -> bool:
    # JAX has no public name for this class; tracers of derivatives wrap it.
    if not isinstance(leaf, jax.core.Tracer):
        return False
    inner = (getattr(leaf, name) for name in ("val", "primal") if hasattr(leaf, name))
    return type(leaf).__name__ == "BatchTracer" or any(map(_is_mapped, inner))
