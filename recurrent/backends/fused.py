"""Segments of whole batches with a derivative by hand: the fast backend, in pure JAX, for every cell.

Forwards, only the carry at the beginning of each segment is kept; backwards, a segment is computed again while it sits
in cache (`segment`). On a CPU the rows are cut into tiles, and those that have nothing to do in a segment are left out
(`tiles`). It has derivatives in reverse mode, second ones too; in forward mode there is the plain backend.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from recurrent.backends.arrange import Arrangement, by_mask, by_prefix
from recurrent.backends.call import ARRAYS, Call
from recurrent.backends.forward_mode import is_pushed_forward
from recurrent.backends.loop import run_segments
from recurrent.backends.plain import with_prefix
from recurrent.backends.segment import Settings, Weights, uses_params
from recurrent.closure import Hoisted, over_axes
from recurrent.compiled import is_closed_over
from recurrent.meshes import vary_like
from recurrent.steps import Carry, Steps, blank, cuts, fill, output_like, reset_states, resets, spread

__all__ = ["run", "segment_size", "shares_prefix", "skips", "why_not"]

SEGMENT_SIZE = 25
"""Steps of a segment where nothing is asked for and the sequence is not long: they should fit a core's cache."""

MOST_COLLECTED = 2**24
"""Numbers that may be kept so that a large embedding's gradient is formed once and not in every segment."""


def why_not(call: Call) -> str | None:
    """Says why a call can't run here, or None."""
    arrays = [getattr(call, name) for name in ARRAYS]
    if not all(isinstance(size, int) for leaf in jax.tree.leaves(arrays) for size in jnp.shape(leaf)):
        return "a size is symbolic, and segments need numbers"
    if getattr(jax.config, "jax_disable_jit", False):
        return "`jit` is disabled, and without it no loop hands derivatives on"
    if is_pushed_forward(arrays):
        return "it is differentiated in forward mode, and the derivative by hand is one in reverse mode"
    x, zero = call.layout.x, jax.eval_shape(call.cell.zero_state, call.params)
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves((call.params, zero))):
        return "the params or the state hold something that is no floating point number and has no derivative"
    if is_closed_over(call.cell, call.params, x):
        return "the cell closes over arrays that are being traced"
    projected = jax.eval_shape(call.cell.project, call.params, x)
    recurrent = jax.eval_shape(call.cell.recur, call.params, zero)
    if "dot_general" in str(jax.make_jaxpr(call.cell.update)(call.params, zero, projected, recurrent)):
        return "the cell multiplies matrices in `update`, whose gradients can't wait for the end of the loop"
    return None


def skips(call: Call) -> bool:
    """Says whether rows with nothing to do are left out of a segment."""
    has_idle_rows = call.is_token is not None or shares_prefix(call)
    return has_idle_rows and call.truncate_every is None and _counts_rows(call)


def shares_prefix(call: Call) -> bool:
    """Says whether a prefix is computed once for all rows: it must come first and lead to one state in all of them."""
    differs = (call.is_token, call.is_start, call.initial, call.recurrent_mask, call.truncate_every)
    is_alike = all(argument is None for argument in differs) and not (call.reverse or call.keeps_outputs)
    return call.prefix is not None and is_alike and _counts_rows(call)


def _counts_rows(call: Call) -> bool:
    """Says whether a row less is time won: on accelerators rows are computed side by side."""
    return jax.default_backend() == "cpu" and 0 not in call.layout.batch


def segment_size(call: Call) -> int:
    """Returns the steps of a segment: a long sequence has longer ones, or what is kept at their beginnings adds up."""
    num_steps = max(call.layout.num_steps, 1)
    return min(call.segment_size or max(SEGMENT_SIZE, round(num_steps**0.5)), num_steps)


def run(call: Call) -> tuple[Any, Any]:
    """Runs a batch."""
    if not shares_prefix(call):
        call = with_prefix(call)
    call = _with_learned_starts(call)
    make_inputs = _as_given if call.make_inputs is None else partial(_make_all, call.make_inputs, call.step)
    constants, fixed = _split(call.constants)
    weights = Weights(call.params, constants, fixed)
    size = segment_size(call)
    collects = _collects(call, constants, size)
    settings = Settings(call.cell, make_inputs, call.reverse, call.dtype, call.keeps_outputs, collects)
    num_rows = math.prod(call.layout.batch)
    carry, steps, length = _first_carry(call, num_rows), _steps(call, num_rows), None
    arrangement = None
    if call.prefix is not None:
        length = call.prefix.length.reshape(num_rows)
        arrangement = by_prefix(length, call.layout.num_steps, size)
    elif steps.is_token is not None and skips(call):
        is_busy = steps.is_token if steps.is_reset is None else steps.is_token | steps.is_reset
        arrangement = by_mask(is_busy, size)
    work = None
    if arrangement is not None:
        work = arrangement.work
        carry, steps = arrangement.spread(carry, 0), _spread_steps(arrangement, steps, call)
    carry, outputs = run_segments(settings, size, weights, carry, steps, work)
    if arrangement is not None:
        state, outputs = _collect(arrangement, carry.state, outputs, length, call)
    else:
        state = carry.state
    restore = partial(_restore_batch, call)
    return jax.tree.map(lambda leaf: restore(jnp.moveaxis(leaf, 0, 1)), outputs), jax.tree.map(restore, state)


def _as_given(constants: list[Any], fixed: list[Any], inputs: Any) -> Any:
    return inputs


def _make_all(make_one: Hoisted, step: Any, constants: list[Any], fixed: list[Any], inputs: Any) -> Any:
    """Makes the cell's inputs for any axes in front of a step's."""
    num_axes = jax.tree.leaves(inputs)[0].ndim - jax.tree.leaves(step)[0].ndim
    joined = [one if other is None else other for one, other in zip(constants, fixed, strict=True)]
    return over_axes(partial(make_one, joined), num_axes)(inputs)


def _split(constants: list[Any]) -> tuple[list[Any], list[Any]]:
    """Tells constants that have a derivative from those that have none; each list has None in the others' places."""
    has_derivative = [jnp.issubdtype(each.dtype, jnp.inexact) for each in constants]
    pairs = list(zip(constants, has_derivative, strict=True))
    return [each if has else None for each, has in pairs], [None if has else each for each, has in pairs]


def _with_learned_starts(call: Call) -> Call:
    """Hands in the state that starts lead to where a cell learns it, or it would get no gradient from them."""
    if call.is_start is None or call.reset_to is not None or not uses_params(call.cell.zero_state, call.params):
        return call
    table = jax.tree.map(lambda leaf: leaf[None], call.cell.zero_state(call.params))
    return call._replace(reset_to=table, reset_index=jnp.zeros(call.is_start.shape, jnp.int32))


def _collects(call: Call, constants: list[Any], segment_size: int) -> bool:
    """Says whether the constants' gradient is formed once, at the end: where it is large beside a segment's inputs.

    That keeps the cotangents of all inputs, and is not done where they are long.
    """
    size_of_step = math.prod(call.layout.batch) * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(call.layout.x))
    size_of_constants = sum(leaf.size for leaf in jax.tree.leaves(constants))
    is_short = size_of_step * call.layout.num_steps <= MOST_COLLECTED
    return size_of_constants > size_of_step * segment_size and is_short


def _time_major(leaf: Array, num_rows: int, num_batch_axes: int) -> Array:
    return jnp.moveaxis(leaf.reshape(num_rows, *leaf.shape[num_batch_axes:]), 1, 0)


def _steps(call: Call, num_rows: int) -> Steps:
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


def _first_carry(call: Call, num_rows: int) -> Carry:
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


def _spread_steps(arrangement: Arrangement, steps: Steps, call: Call) -> Steps:
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


def _collect(arrangement: Arrangement, state: Any, outputs: Any, length: Array | None, call: Call) -> tuple[Any, Any]:
    final = arrangement.collect(state, 0)
    if length is not None:
        # A row that is prefix to its end was left where it stood.
        is_all_prefix = length >= call.layout.num_steps
        final = jax.tree.map(
            lambda leaf, of_tiles: jnp.where(is_all_prefix[:, None], of_tiles[0, :1], leaf), final, state
        )
    return final, arrangement.collect(outputs, 1)


def _restore_batch(call: Call, leaf: Array) -> Array:
    return leaf.reshape(*call.layout.batch, *leaf.shape[1:])
