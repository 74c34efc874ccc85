"""The reference backend: `scan_one` for each sequence. It has every derivative, forward-mode and higher-order too."""

import math
from typing import Any

import jax

from recurrent.call.axes import over_axes
from recurrent.call.call import Call
from recurrent.call.prefix import write_prefix
from recurrent.sequence import scan_one

__all__ = ["residual_bytes", "run", "segment_size", "shares_prefix", "skips", "why_not"]

OF_A_SEQUENCE = ("inputs", "is_token", "is_start", "initial", "reset_index", "recurrent_mask")
"""The fields of a call whose arrays have batch axes."""


def why_not(call: Call) -> str | None:
    """Returns None: this backend can run every call."""
    return None


def segment_size(call: Call) -> int | None:
    """Returns the number of steps of a segment, or None if the residuals of all steps are kept."""
    return call.segment_size


def residual_bytes(call: Call) -> int:
    """Estimates how many bytes the forward pass keeps for the gradient if it keeps those of all steps.

    The sizes are numbers. Axes of `vmap` around the call are not seen. What JAX keeps is 1 to 3 times as much.
    """
    zero = jax.eval_shape(call.cell.zero_state, call.params)
    projected = jax.eval_shape(call.cell.project, call.params, call.layout.x)
    recurrent = jax.eval_shape(call.cell.recur, call.params, zero)
    made = None if call.make_inputs is None else call.layout.x
    kept = jax.tree.leaves((projected, recurrent, zero, zero, made))  # the state before and after a step
    return math.prod(call.layout.batch) * call.layout.num_steps * sum(leaf.size * leaf.dtype.itemsize for leaf in kept)


def skips(call: Call) -> bool:
    """Returns False: all steps of all rows are computed."""
    return False


def shares_prefix(call: Call) -> bool:
    """Returns False: the prefix is computed for each row."""
    return False


def run(call: Call) -> tuple[Any, Any]:
    """Returns the outputs and the final state of a call."""
    written = call._replace(inputs=write_prefix(call.inputs, call.prefix), prefix=None)

    def run_one(arrays: dict[str, Any]) -> tuple[Any, Any]:
        return scan_one(written._replace(num_batch_axes=0, **arrays))

    arrays = {name: getattr(written, name) for name in OF_A_SEQUENCE}
    return over_axes(run_one, call.num_batch_axes)(arrays)
