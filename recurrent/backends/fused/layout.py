"""The arrays of a call as the segments take them, [time, rows, ...] or in tiles, and results in the batch's shape."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from recurrent.backends.fused.arrange import Arrangement
from recurrent.call.call import Call
from recurrent.call.meshes import vary_like
from recurrent.call.steps import Carry, Steps, blank, cuts, fill, output_like, reset_states, resets, spread

__all__ = ["collect", "first_carry", "restore_batch", "spread_steps", "steps_of"]


def _time_major(leaf: Array, num_rows: int, num_batch_axes: int) -> Array:
    return jnp.moveaxis(leaf.reshape(num_rows, *leaf.shape[num_batch_axes:]), 1, 0)


def steps_of(call: Call, num_rows: int) -> Steps:
    """Lays the arguments out as [time, rows, ...]."""
    num_steps = call.layout.num_steps

    def lay(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: _time_major(leaf, num_rows, len(call.layout.batch)), tree)

    inputs, is_token, is_start, reset_index = map(lay, (call.inputs, call.is_token, call.is_start, call.reset_index))
    is_cut = cuts(num_steps, call.truncate_every, call.reverse)
    return Steps(
        inputs=inputs if is_token is None else blank(inputs, is_token),
        is_token=is_token,
        is_reset=None if is_start is None else resets(is_start, call.reverse),
        reset_state=reset_states(call.reset_to, reset_index, call.cell.zero_state(call.params), call.reverse),
        is_cut=None if is_cut is None else jnp.broadcast_to(is_cut[:, None], (num_steps, num_rows)),
        recurrent_mask=spread(lay(call.recurrent_mask), num_steps),
    )


def first_carry(call: Call, num_rows: int) -> Carry:
    """Returns the states that the rows begin in, and zero outputs to hold where steps may be masked."""
    zero = call.cell.zero_state(call.params)
    if call.initial is None:
        state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_rows, *leaf.shape)), zero)
    else:
        state = jax.tree.map(lambda leaf: leaf.reshape(num_rows, *leaf.shape[len(call.layout.batch) :]), call.initial)
    held = None
    if call.is_token is not None and call.keeps_outputs:
        like = output_like(call.cell, call.params, call.layout.x)
        held = jax.tree.map(lambda leaf: jnp.zeros((num_rows, *leaf.shape), leaf.dtype), like)
    return vary_like(Carry(state, held), call.params)


def spread_steps(arrangement: Arrangement, steps: Steps, call: Call) -> Steps:
    """Lays steps out in tiles; where no row stands, there are no tokens, or the prefix goes on to the end."""
    num_rows, num_steps = len(arrangement.tile), call.layout.num_steps
    is_row = arrangement.row[None] < num_rows
    steps = arrangement.spread(steps, 1)
    if steps.is_token is not None:
        is_reset = None if steps.is_reset is None else steps.is_reset & is_row
        steps = steps._replace(is_token=steps.is_token & is_row, is_reset=is_reset)
    if call.prefix is not None:
        length = call.prefix.length.reshape(num_rows)
        length = jnp.take(length, arrangement.row, mode="fill", fill_value=num_steps)
        is_prefix = jnp.arange(num_steps)[:, None, None] < length[None]
        steps = steps._replace(inputs=fill(steps.inputs, call.prefix.input, is_prefix))
    return steps


def collect(arrangement: Arrangement, state: Any, outputs: Any, length: Array | None, call: Call) -> tuple[Any, Any]:
    """Brings final states and outputs from the tiles back to the order of the rows."""
    final = arrangement.collect(state, 0)
    if length is not None:
        # A row that is prefix to its end was left where it stood.
        is_all_prefix = length >= call.layout.num_steps
        final = jax.tree.map(
            lambda leaf, of_tiles: jnp.where(is_all_prefix[:, None], of_tiles[0, :1], leaf), final, state
        )
    return final, arrangement.collect(outputs, 1)


def restore_batch(call: Call, leaf: Array) -> Array:
    """Undoes the flattening of the batch axes."""
    return leaf.reshape(*call.layout.batch, *leaf.shape[1:])
