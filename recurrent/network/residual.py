"""Shortcuts past a layer: what it is given is added to what it puts out."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from recurrent.call.call import Prefix
from recurrent.call.closure import hoist_step, over_axes
from recurrent.call.meshes import on_auto_axes
from recurrent.call.steps import fill

__all__ = ["add_shortcut", "has_shortcut"]


def has_shortcut(is_residual: bool, layer: int, input_size: int | None, output_size: int) -> bool:
    """Says whether a layer's input is added to its output.

    Args:
        input_size: None where the input is not one array.

    Raises:
        ValueError: it has to be and can't.
    """
    if is_residual and layer > 0 and input_size != output_size:
        raise ValueError(
            f"A residual network adds what a layer is given to what it puts out, but layer {layer} is given "
            f"{input_size} units and puts out {output_size}: give all layers the same output size."
        )
    return is_residual and input_size == output_size


def add_shortcut(
    inputs: Any,
    halves: Sequence[Array],
    is_token: Bool[Array, "*batch time"] | None = None,
    is_start: Bool[Array, "*batch time"] | None = None,
    *,
    prefix: Prefix | None = None,
    make_inputs: Callable[[Any], Any] | None = None,
) -> list[Array]:
    """Adds a layer's input to its output, in each direction its part of it.

    Args:
        prefix, make_inputs: as in `run`, of the layer whose inputs these are.
    """
    num_batch_axes = halves[0].ndim - 2
    make, constants = _hoist(make_inputs, inputs, num_batch_axes + 1)

    def add(inputs: Any, halves: Any, constants: Any, is_token: Any, is_start: Any, prefix: Any) -> list[Array]:
        inputs = _write_prefix(inputs, prefix)
        added = []
        for reverse, half in enumerate(halves):
            x = _hold(inputs, partial(make, constants), is_token, is_start, bool(reverse))
            added.append(half + jnp.split(x, len(halves), axis=-1)[reverse].astype(half.dtype))
        return added

    return on_auto_axes(add, num_batch_axes, inputs, tuple(halves), constants, is_token, is_start, prefix)


def _hoist(
    make_inputs: Callable[[Any], Any] | None, inputs: Any, num_axes: int
) -> tuple[Callable[[Any, Any], Any], list[Any]]:
    """Returns a function of arrays and inputs, and the arrays, which `make_inputs` closes over."""
    if make_inputs is None:
        return lambda constants, inputs: inputs, []
    step = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[num_axes:], leaf.dtype), inputs)
    hoisted, constants = hoist_step(make_inputs, step)
    return lambda constants, inputs: over_axes(partial(hoisted, constants), num_axes)(inputs), constants


def _write_prefix(inputs: Any, prefix: Prefix | None) -> Any:
    if prefix is None:
        return inputs
    length = jnp.expand_dims(prefix.length, -1)
    steps = (*prefix.length.shape, jax.tree.leaves(inputs)[0].shape[prefix.length.ndim])
    is_prefix = jax.lax.broadcasted_iota(length.dtype, steps, length.ndim - 1) < length
    return fill(inputs, prefix.input, is_prefix)


def _hold(
    inputs: Any,
    make_inputs: Callable[[Any], Any],
    is_token: Bool[Array, "*batch time"] | None,
    is_start: Bool[Array, "*batch time"] | None,
    reverse: bool,
) -> Array:
    """Repeats inputs where there is no token as `run` repeats outputs: zero before the first one and after a start."""
    if is_token is None or is_token.shape[-1] == 0:
        return make_inputs(inputs)
    last, is_seen = _find_last(is_token, is_start, reverse)
    # Where there is nothing to repeat, the first token stands, as in `run`: `make_inputs` is given no padding.
    last = jnp.where(is_seen, last, jnp.argmax(is_token, axis=-1, keepdims=True).astype(last.dtype))

    def take(leaf: Array) -> Array:
        axes = is_token.shape + (1,) * (leaf.ndim - is_token.ndim)
        taken = jnp.take_along_axis(leaf, last.reshape(axes), axis=is_token.ndim - 1)
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return taken
        return jnp.where(is_seen.reshape(axes) | jnp.isfinite(taken), taken, 0)

    return jnp.where(is_seen[..., None], make_inputs(jax.tree.map(take, inputs)), 0)


def _find_last(
    is_token: Bool[Array, "*batch time"], is_start: Bool[Array, "*batch time"] | None, reverse: bool
) -> tuple[Int[Array, "*batch time"], Bool[Array, "*batch time"]]:
    """Returns, for each step, which step had the last token so far, and whether there has been one."""
    num_steps = is_token.shape[-1]
    at = jnp.broadcast_to(jnp.arange(num_steps), is_token.shape)
    find_last = partial(jax.lax.cummin, reverse=True) if reverse else jax.lax.cummax
    last = find_last(jnp.where(is_token, at, num_steps if reverse else -1), axis=is_token.ndim - 1)
    is_seen = (last >= 0) & (last < num_steps)
    last = jnp.clip(last, 0, max(num_steps - 1, 0))
    if is_start is not None:
        sequence = jnp.cumsum(is_start, axis=-1)
        is_seen &= jnp.take_along_axis(sequence, last, axis=-1) == sequence
    return last, is_seen
