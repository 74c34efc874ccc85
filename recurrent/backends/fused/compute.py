"""Runs a call: rows into tiles where some are idle, then segment after segment, then back into the batch."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused.arrange import by_mask, by_prefix
from recurrent.backends.fused.layout import collect, first_carry, restore_batch, spread_steps, steps_of
from recurrent.backends.fused.loop import run_segments
from recurrent.backends.fused.plan import collects, segment_size, shares_prefix, skips
from recurrent.backends.fused.segment import Settings, Weights, uses_params
from recurrent.backends.plain import with_prefix
from recurrent.call.call import Call
from recurrent.call.closure import Hoisted, over_axes

__all__ = ["run"]


def run(call: Call) -> tuple[Any, Any]:
    """Runs a batch."""
    if not shares_prefix(call):
        call = with_prefix(call)
    call = _with_learned_starts(call)
    make_inputs = _as_given if call.make_inputs is None else partial(_make_all, call.make_inputs, call.step)
    constants, fixed = _split(call.constants)
    weights = Weights(call.params, constants, fixed)
    size = segment_size(call)
    is_collected = collects(call, constants, size)
    settings = Settings(call.cell, make_inputs, call.reverse, call.dtype, call.keeps_outputs, is_collected)
    num_rows = math.prod(call.layout.batch)
    carry, steps, length = first_carry(call, num_rows), steps_of(call, num_rows), None
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
        carry, steps = arrangement.spread(carry, 0), spread_steps(arrangement, steps, call)
    carry, outputs = run_segments(settings, size, weights, carry, steps, work)
    if arrangement is not None:
        state, outputs = collect(arrangement, carry.state, outputs, length, call)
    else:
        state = carry.state
    restore = partial(restore_batch, call)
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
