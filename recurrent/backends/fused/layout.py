"""Layouts: a call's arrays as [time, rows, ...] or in tiles for the segments, and results in the batch's shape."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused.arrange import Arrangement
from recurrent.call.axes import merge_axes
from recurrent.call.call import Call
from recurrent.call.meshes import vary_like
from recurrent.call.padding import fill
from recurrent.call.steps import Carry, Steps, output_like
from recurrent.call.timeline import steps_of

__all__ = ["collect", "first_carry", "lay_out", "restore_batch", "spread_steps"]


def lay_out(call: Call) -> Steps:
    """Returns the arguments of each step of each row, [time, rows, ...]."""
    num_steps, num_rows = call.layout.num_steps, math.prod(call.layout.batch)

    def time_major(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), merge_axes(tree, call.num_batch_axes))

    laid = call._replace(
        inputs=time_major(call.inputs),
        is_token=time_major(call.is_token),
        is_start=time_major(call.is_start),
        reset_index=time_major(call.reset_index),
        recurrent_mask=time_major(call.recurrent_mask),
    )
    steps = steps_of(laid, call.cell.zero_state(call.params), num_steps)
    if steps.is_cut is None:
        return steps
    return steps._replace(is_cut=jnp.broadcast_to(steps.is_cut[:, None], (num_steps, num_rows)))


def first_carry(call: Call) -> Carry:
    """Returns the initial states of the rows, and zero outputs if masked steps may repeat them."""
    num_rows, zero = math.prod(call.layout.batch), call.cell.zero_state(call.params)
    if call.initial is None:
        state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_rows, *leaf.shape)), zero)
    else:
        state = merge_axes(call.initial, call.num_batch_axes)
    held = None
    if call.is_token is not None and call.keeps_outputs:
        like = output_like(call.cell, call.params, call.layout.x)
        held = jax.tree.map(lambda leaf: jnp.zeros((num_rows, *leaf.shape), leaf.dtype), like)
    return vary_like(Carry(state, held), call.params)


def spread_steps(arrangement: Arrangement, steps: Steps, call: Call) -> Steps:
    """Lays steps out in tiles; a place without a row is masked, or in the prefix to the end."""
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


def collect(arrangement: Arrangement, state: Any, outputs: Any, call: Call) -> tuple[Any, Any]:
    """Returns final states and outputs in the order of the rows."""
    final = arrangement.collect(state, 0)
    if call.prefix is not None:
        # A row that is prefix to its end was never computed: its final state is the first row's.
        is_all_prefix = call.prefix.length.reshape(len(arrangement.tile)) >= call.layout.num_steps
        final = jax.tree.map(
            lambda leaf, of_tiles: jnp.where(is_all_prefix[:, None], of_tiles[0, :1], leaf), final, state
        )
    return final, arrangement.collect(outputs, 1)


def restore_batch(call: Call, rows: Any) -> Any:
    """Splits the axis of rows, the first one, into the batch axes."""
    return jax.tree.map(lambda leaf: leaf.reshape(*call.layout.batch, *leaf.shape[1:]), rows)
