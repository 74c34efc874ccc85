"""The loop over segments, forwards and backwards, as one function with a derivative of its own.

Both directions have derivatives in turn, so that second ones exist: those of the same loop over all tiles. The loop
over active tiles has a number of rounds that is known only when it runs, and JAX goes back through no such loop.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused import segment, tiles
from recurrent.backends.fused.segment import Settings, Weights
from recurrent.backends.fused.tiles import Work
from recurrent.call.steps import Carry, Steps

__all__ = ["run_segments"]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def run_segments(
    settings: Settings, segment_size: int, weights: Weights, carry: Carry, steps: Steps, work: Work | None
) -> tuple[Carry, Any]:
    """Advances all rows through all steps, [time, rows, ...], or [time, tiles, rows, ...] if `work` is given."""
    carry, _, outputs = _forwards(settings, segment_size, weights, carry, steps, work)
    return carry, outputs


def _keep(settings: Settings, segment_size: int, *arguments: Any) -> tuple[tuple[Carry, Any], Any]:
    carry, befores, outputs = _forwards(settings, segment_size, *arguments)
    return (carry, outputs), (befores, arguments)


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
    """Returns the last carry, the carries before each segment, in the order of the pass, and the outputs."""
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
    for part in _parts(settings, segment_size, len(jax.tree.leaves(steps)[0]), (steps, work)):
        carry, (before, output) = jax.lax.scan(advance, carry, part, reverse=settings.reverse)
        befores.append(before)
        outputs.append(output)
    return carry, befores, _join(settings, outputs)


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
    """Returns the cotangents of params, constants, first carry and steps."""
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
    parts = _parts(settings, segment_size, num_steps, (steps, work))
    d_output_parts = _parts(settings, segment_size, num_steps, (d_outputs, None))
    nothing = jax.tree.map(jnp.zeros_like, (weights.params, weights.constants))
    result, d_steps = (*nothing, d_carry), []
    for part in reversed(list(zip(befores, parts, d_output_parts, strict=True))):
        result, more = jax.lax.scan(go_back, result, part, reverse=not settings.reverse)
        d_steps.insert(0, more)
    (d_params, d_constants, d_carry), d_steps = result, _join(settings, d_steps)
    if settings.collects:
        d_inputs, d_constants = _pull_make_inputs(settings, weights, steps.inputs, d_steps.inputs)
        d_steps = d_steps._replace(inputs=d_inputs)
    return d_params, d_constants, d_carry, d_steps


def _pull_make_inputs(settings: Settings, weights: Weights, inputs: Any, d_made: Any) -> tuple[Any, Any]:
    """Pulls cotangents of the made inputs back to what they were made of."""

    def make(inputs: Any, constants: list[Any]) -> Any:
        return settings.make_inputs(constants, weights.fixed, inputs)

    d_inputs, d_constants = jax.vjp(make, inputs, weights.constants)[1](d_made)
    # JAX gives the cotangents of integers a dtype that no loop can carry.
    return jax.tree.map(lambda leaf: None if leaf.dtype == jax.dtypes.float0 else leaf, d_inputs), d_constants


def _parts(
    settings: Settings, segment_size: int, num_steps: int, of_steps_and_of_segments: tuple[Any, Any]
) -> list[tuple[Any, Any]]:
    """Cuts into whole segments and a short one of what is left, in the order of the pass."""
    of_steps, of_segments = of_steps_and_of_segments
    count, rest = divmod(num_steps, segment_size)

    def cut(start: int, count: int, size: int) -> Any:
        return jax.tree.map(
            lambda leaf: leaf[start : start + count * size].reshape(count, size, *leaf.shape[1:]), of_steps
        )

    parts = [(cut(0, count, segment_size), jax.tree.map(lambda leaf: leaf[:count], of_segments))]
    if rest:
        last = jax.tree.map(lambda leaf: leaf[count:], of_segments)
        parts.append((cut(count * segment_size, 1, rest), last))
    return parts[::-1] if settings.reverse else parts


def _join(settings: Settings, parts: list[Any]) -> Any:
    """Joins what segments gave along time, [segments, steps, ...] each."""
    parts = [
        jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]), part) for part in parts
    ]
    if settings.reverse:
        parts = parts[::-1]
    return parts[0] if len(parts) == 1 else jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
