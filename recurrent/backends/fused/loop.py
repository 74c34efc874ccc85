"""The loop over segments, forward and backward, as one function with a custom derivative.

The custom functions of both directions have derivatives themselves, so second derivatives exist. Those are derivatives
of the same loop over all tiles: the number of active tiles is known only at run time, and JAX does not differentiate a
loop of such a length in reverse mode.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused import segment, tiles
from recurrent.backends.fused.settings import Settings, Weights
from recurrent.backends.fused.tiles import Work
from recurrent.call.segments import cut_segments, join_segments
from recurrent.call.steps import Carry, Steps

__all__ = ["run_segments"]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def run_segments(
    settings: Settings, segment_size: int, weights: Weights, carry: Carry, steps: Steps, work: Work | None
) -> tuple[Carry, Any]:
    """Computes all steps of all rows; returns the last carry and the outputs.

    Args:
        steps: arrays [time, rows, ...], or [time, tiles, rows, ...] if `work` is given.
        work: [segments, ...], the tiles to compute in each segment; None computes all rows.
    """
    carry, _, outputs = _forwards(settings, segment_size, weights, carry, steps, work)
    return carry, outputs


def _keep(settings: Settings, segment_size: int, *arguments: Any) -> tuple[tuple[Carry, Any], Any]:
    carry, befores, outputs = _forwards(settings, segment_size, *arguments)
    # Without the barrier, JAX would not keep what are arguments, but their positions. In a scan that is differentiated
    # twice it counts them among others, and hands `_pull` the wrong ones.
    return (carry, outputs), (befores, jax.lax.optimization_barrier(arguments))


def _pull(settings: Settings, segment_size: int, kept: Any, cotangents: tuple[Carry, Any]) -> tuple[Any, ...]:
    befores, (weights, _, steps, work) = kept
    d_params, d_constants, d_carry, d_steps = _backwards(
        settings, segment_size, befores, weights, steps, work, cotangents
    )
    return Weights(d_params, d_constants, None), d_carry, d_steps, None


run_segments.defvjp(_keep, _pull)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _forwards(
    settings: Settings, segment_size: int, weights: Weights, carry: Carry, steps: Steps, work: Work | None
) -> tuple[Carry, list[Carry], Any]:
    """Returns the last carry, the carry before each segment in the order of the pass, and the outputs."""
    return _go_forwards(tiles.each_active, settings, segment_size, weights, carry, steps, work)


@_forwards.defjvp
def _push_forwards(settings: Settings, segment_size: int, primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(_go_forwards, tiles.each, settings, segment_size), primals, tangents)


def _go_forwards(
    each: tiles.Each,
    settings: Settings,
    segment_size: int,
    weights: Weights,
    carry: Carry,
    steps: Steps,
    work: Work | None,
) -> tuple[Carry, list[Carry], Any]:
    def advance(carry: Carry, at: tuple[Steps, Work | None]) -> tuple[Carry, tuple[Carry, Any]]:
        steps, work = at
        if work is None:
            after, outputs = segment.forward(settings, weights, carry, steps)
        else:
            after, outputs = tiles.forward(each, settings, weights, carry, steps, work)
        return after, (carry, outputs)

    befores, outputs = [], []
    num_steps = len(jax.tree.leaves(steps)[0])
    for part in cut_segments(steps, work, num_steps, segment_size, settings.reverse):
        carry, (before, output) = jax.lax.scan(advance, carry, part, reverse=settings.reverse)
        befores.append(before)
        outputs.append(output)
    return carry, befores, join_segments(outputs, settings.reverse)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _backwards(
    settings: Settings,
    segment_size: int,
    befores: list[Carry],
    weights: Weights,
    steps: Steps,
    work: Work | None,
    cotangents: tuple[Carry, Any],
) -> tuple[Any, list[Any], Carry, Steps]:
    """Returns the cotangents of the params, the constants, the first carry and the steps."""
    return _go_backwards(tiles.each_active, settings, segment_size, befores, weights, steps, work, cotangents)


@_backwards.defjvp
def _push_backwards(settings: Settings, segment_size: int, primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(_go_backwards, tiles.each, settings, segment_size), primals, tangents)


def _go_backwards(
    each: tiles.Each,
    settings: Settings,
    segment_size: int,
    befores: list[Carry],
    weights: Weights,
    steps: Steps,
    work: Work | None,
    cotangents: tuple[Carry, Any],
) -> tuple[Any, list[Any], Carry, Steps]:
    d_carry, d_outputs = cotangents

    def go_back(result: tuple[Any, Any, Carry], at: Any) -> tuple[tuple[Any, Any, Carry], Steps]:
        d_params, d_constants, d_carry = result
        before, (steps, work), (d_outputs, _) = at
        if work is None:
            gradients = segment.backward(settings, weights, before, steps, d_carry, d_outputs)
        else:
            gradients = tiles.backward(each, settings, weights, before, steps, work, d_carry, d_outputs)
        d_steps = gradients.steps
        if not settings.collects:
            d_inputs, more = _pull_make_inputs(settings, weights, steps.inputs, d_steps.inputs)
            d_steps, d_constants = d_steps._replace(inputs=d_inputs), jax.tree.map(jnp.add, d_constants, more)
        d_params = jax.tree.map(jnp.add, d_params, gradients.params)
        return (d_params, d_constants, gradients.carry), d_steps

    num_steps = len(jax.tree.leaves(steps)[0])
    parts = cut_segments(steps, work, num_steps, segment_size, settings.reverse)
    d_output_parts = cut_segments(d_outputs, None, num_steps, segment_size, settings.reverse)
    nothing = jax.tree.map(jnp.zeros_like, (weights.params, weights.constants))
    result, d_steps = (*nothing, d_carry), []
    for part in reversed(list(zip(befores, parts, d_output_parts, strict=True))):
        result, more = jax.lax.scan(go_back, result, part, reverse=not settings.reverse)
        d_steps.insert(0, more)
    (d_params, d_constants, d_carry), d_steps = result, join_segments(d_steps, settings.reverse)
    if settings.collects:
        d_inputs, d_constants = _pull_make_inputs(settings, weights, steps.inputs, d_steps.inputs)
        d_steps = d_steps._replace(inputs=d_inputs)
    return d_params, d_constants, d_carry, d_steps


def _pull_make_inputs(settings: Settings, weights: Weights, inputs: Any, d_made: Any) -> tuple[Any, Any]:
    """Pulls cotangents of the cell's inputs back to the arguments of `make_inputs`."""

    def make(inputs: Any, constants: list[Any]) -> Any:
        return settings.make_inputs(constants, weights.fixed, inputs)

    d_inputs, d_constants = jax.vjp(make, inputs, weights.constants)[1](d_made)
    # The cotangents of integers have the dtype float0, which a loop cannot carry.
    return jax.tree.map(lambda leaf: None if leaf.dtype == jax.dtypes.float0 else leaf, d_inputs), d_constants
