"""Whether the fused backend can run a call, and how: segment size, idle rows, shared prefix, embedding gradients."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused.forward_mode import is_pushed_forward
from recurrent.call.call import ARRAYS, Call
from recurrent.call.compiled import is_closed_over

__all__ = ["collects", "segment_size", "shares_prefix", "skips", "why_not"]

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


def collects(call: Call, constants: list[Any], segment_size: int) -> bool:
    """Says whether the constants' gradient is formed once, at the end: where it is large beside a segment's inputs.

    That keeps the cotangents of all inputs, and is not done where they are long.
    """
    size_of_step = math.prod(call.layout.batch) * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(call.layout.x))
    size_of_constants = sum(leaf.size for leaf in jax.tree.leaves(constants))
    is_short = size_of_step * call.layout.num_steps <= MOST_COLLECTED
    return size_of_constants > size_of_step * segment_size and is_short
