"""Long sequences whose inputs are made: cut in time, so that `make_inputs` returns a part of the inputs at a time.

The parts are computed again in the backward pass, with their inputs.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.call.axes import merge_axes
from recurrent.call.call import Call
from recurrent.call.meshes import vary_like
from recurrent.call.segments import scan_segments

__all__ = ["is_long", "run_in_parts"]

MOST_MADE_BYTES = 2**25
"""The largest size of inputs that are made at once."""

BYTES_OF_PART = 2**23


def is_long(call: Call) -> bool:
    """Returns whether a call's inputs are made in parts: they are large, and no step looks beyond its part."""
    if call.make_inputs is None or _bytes_of_step(call) * call.layout.num_steps <= MOST_MADE_BYTES:
        return False
    repeats = call.keeps_outputs and call.is_token is not None  # a masked step repeats an output, of any earlier step
    looks_ahead = call.reverse and call.is_start is not None
    return not (repeats or looks_ahead or call.truncate_every is not None or call.prefix is not None)


def run_in_parts(run: Callable[[Call], tuple[Any, Any]], call: Call) -> tuple[Any, Any]:
    """Returns the outputs and the final state of a call, computed by `run` part after part."""
    num_rows, num_steps = math.prod(call.layout.batch), call.layout.num_steps
    is_spread = call.recurrent_mask is not None and call.recurrent_mask.shape[call.num_batch_axes] > 1
    steps = {
        "inputs": call.inputs,
        "is_token": call.is_token,
        "is_start": call.is_start,
        "reset_index": call.reset_index,
        "recurrent_mask": call.recurrent_mask if is_spread else None,
    }
    same = {} if is_spread else {"recurrent_mask": merge_axes(call.recurrent_mask, call.num_batch_axes)}

    def run_part(state: Any, steps: dict[str, Any]) -> tuple[Any, Any]:
        part = call._replace(num_batch_axes=1, initial=state, **(_swap(steps) | same))
        outputs, state = run(part)
        return state, _swap(outputs)

    def swap_batch(tree: Any) -> Any:
        return _swap(merge_axes(tree, call.num_batch_axes))

    zero = call.cell.zero_state(call.params)
    if call.initial is None:
        state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_rows, *leaf.shape)), zero)
    else:
        state = merge_axes(call.initial, call.num_batch_axes)
    size = min(num_steps, max(1, BYTES_OF_PART // max(_bytes_of_step(call), 1)))
    again = jax.checkpoint(run_part, prevent_cse=False)
    state, outputs = scan_segments(again, vary_like(state, call.params), swap_batch(steps), size, call.reverse)
    batch = call.layout.batch
    return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), (_swap(outputs), state))


def _swap(tree: Any) -> Any:
    """Swaps the axes of rows and time."""
    return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)


def _bytes_of_step(call: Call) -> int:
    """Returns the size of the inputs of one step of all rows."""
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(call.layout.x))
    return math.prod(call.layout.batch) * size
