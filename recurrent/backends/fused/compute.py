"""Runs a call: lays it out in rows or tiles, computes segment after segment, and restores the batch."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused.arrange import Arrangement, by_mask, by_prefix
from recurrent.backends.fused.layout import collect, first_carry, lay_out, restore_batch, spread_steps
from recurrent.backends.fused.loop import run_segments
from recurrent.backends.fused.plan import collects, segment_size, shares_prefix, skips
from recurrent.backends.fused.settings import Settings, Weights
from recurrent.backends.fused.weights import uses_params
from recurrent.call.axes import over_axes
from recurrent.call.call import Call
from recurrent.call.closure import Hoisted
from recurrent.call.prefix import write_prefix
from recurrent.call.steps import Steps

__all__ = ["run"]


def run(call: Call) -> tuple[Any, Any]:
    """Returns the outputs and the final state of a call."""
    if not shares_prefix(call):
        call = call._replace(inputs=write_prefix(call.inputs, call.prefix), prefix=None)
    call = _with_learned_starts(call)
    size = segment_size(call)
    settings, weights = _settle(call, size)
    carry, steps = first_carry(call), lay_out(call)
    arrangement = _arrange(call, steps, size)
    if arrangement is None:
        carry, outputs = run_segments(settings, size, weights, carry, steps, None)
        state = carry.state
    else:
        carry, steps = arrangement.spread(carry, 0), spread_steps(arrangement, steps, call)
        carry, outputs = run_segments(settings, size, weights, carry, steps, arrangement.work)
        state, outputs = collect(arrangement, carry.state, outputs, call)
    outputs = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), outputs)
    return restore_batch(call, outputs), restore_batch(call, state)


def _settle(call: Call, size: int) -> tuple[Settings, Weights]:
    """Returns what is static and what all steps share."""
    make_inputs = _as_given if call.make_inputs is None else partial(_make_all, call.make_inputs, call.step)
    constants, fixed = _split(call.constants)
    is_collected = collects(call, constants, size)
    settings = Settings(call.cell, make_inputs, call.reverse, call.dtype, call.keeps_outputs, is_collected)
    return settings, Weights(call.params, constants, fixed)


def _arrange(call: Call, steps: Steps, size: int) -> Arrangement | None:
    """Returns the arrangement of rows in tiles, or None where all rows are computed throughout."""
    if call.prefix is not None:
        return by_prefix(call.prefix.length.reshape(-1), call.layout.num_steps, size)
    if steps.is_token is not None and skips(call):
        return by_mask(steps.is_token if steps.is_reset is None else steps.is_token | steps.is_reset, size)
    return None


def _as_given(constants: list[Any], fixed: list[Any], inputs: Any) -> Any:
    return inputs


def _make_all(make_one: Hoisted, step: Any, constants: list[Any], fixed: list[Any], inputs: Any) -> Any:
    """Computes the cell's inputs of steps with any number of axes in front."""
    num_axes = jax.tree.leaves(inputs)[0].ndim - jax.tree.leaves(step)[0].ndim
    joined = [one if other is None else other for one, other in zip(constants, fixed, strict=True)]
    return over_axes(partial(make_one, joined), num_axes)(inputs)


def _split(constants: list[Any]) -> tuple[list[Any], list[Any]]:
    """Returns the constants with a derivative, and those without; each list has None in the places of the others."""
    has_derivative = [jnp.issubdtype(each.dtype, jnp.inexact) for each in constants]
    pairs = list(zip(constants, has_derivative, strict=True))
    return [each if has else None for each, has in pairs], [None if has else each for each, has in pairs]


def _with_learned_starts(call: Call) -> Call:
    """Passes a learned zero state as the state after resets, so that its params receive a gradient from them."""
    if call.is_start is None or call.reset_to is not None or not uses_params(call.cell.zero_state, call.params):
        return call
    table = jax.tree.map(lambda leaf: leaf[None], call.cell.zero_state(call.params))
    return call._replace(reset_to=table, reset_index=jnp.zeros(call.is_start.shape, jnp.int32))
