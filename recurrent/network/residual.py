"""Shortcuts: the input of a layer is added to its output."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from recurrent.call.axes import align, over_axes
from recurrent.call.closure import hoist_step, step_like
from recurrent.call.meshes import on_auto_axes
from recurrent.call.prefix import Prefix, write_prefix

__all__ = ["add_shortcut", "check_shortcut", "has_shortcut"]


def has_shortcut(is_residual: bool, layer: int, input_size: int | None, output_size: int) -> bool:
    """Returns whether a layer's input is added to its output.

    Args:
        input_size: None where the input is not one array.

    Raises:
        ValueError: the sizes differ in a layer other than the first.
    """
    if is_residual and layer > 0:
        check_shortcut(layer, input_size, output_size)
    return is_residual and input_size == output_size


def check_shortcut(layer: int, input_size: int | None, output_size: int) -> None:
    """Raises ValueError if a layer's input cannot be added to its output."""
    if input_size != output_size:
        raise ValueError(
            f"A residual network adds each layer's input to its output, but layer {layer} has input size {input_size} "
            f"and output size {output_size}: give all layers the same output size."
        )


def add_shortcut(
    inputs: Any,
    halves: Sequence[Array],
    is_token: Bool[Array, "*batch time"] | None = None,
    is_start: Bool[Array, "*batch time"] | None = None,
    *,
    prefix: Prefix | None = None,
    make_inputs: Callable[[Any], Any] | None = None,
) -> list[Array]:
    """Adds each half of a layer's input, or all of it, to the outputs of one direction.

    Args:
        inputs: the layer's inputs.
        halves: the outputs of each direction, ``[*batch, time, hidden]``.
        is_token: as in `run`, like all other options.
        is_start: as in `run`.
        prefix: as in `run`.
        make_inputs: as in `run`.
    """
    num_batch_axes = halves[0].ndim - 2
    make, constants = _hoist(make_inputs, inputs, num_batch_axes + 1)

    def add(inputs: Any, halves: Any, constants: Any, is_token: Any, is_start: Any, prefix: Any) -> list[Array]:
        inputs = write_prefix(inputs, prefix)
        added = []
        for reverse, half in enumerate(halves):
            x = _hold(inputs, partial(make, constants), is_token, is_start, bool(reverse))
            added.append(half + jnp.split(x, len(halves), axis=-1)[reverse].astype(half.dtype))
        return added

    return on_auto_axes(add, num_batch_axes, inputs, tuple(halves), constants, is_token, is_start, prefix)


def _hoist(
    make_inputs: Callable[[Any], Any] | None, inputs: Any, num_axes: int
) -> tuple[Callable[[Any, Any], Any], list[Any]]:
    """Returns `make_inputs` as a function of its closed-over arrays and the inputs, and these arrays."""
    if make_inputs is None:
        return lambda constants, inputs: inputs, []
    hoisted, constants = hoist_step(make_inputs, step_like(inputs, num_axes))
    return lambda constants, inputs: over_axes(partial(hoisted, constants), num_axes)(inputs), constants


def _hold(
    inputs: Any,
    make_inputs: Callable[[Any], Any],
    is_token: Bool[Array, "*batch time"] | None,
    is_start: Bool[Array, "*batch time"] | None,
    reverse: bool,
) -> Array:
    """Repeats the last input at masked steps, as `run` repeats outputs: zero where there is no token so far."""
    if is_token is None or is_token.shape[-1] == 0:
        return make_inputs(inputs)
    last, is_seen = _find_last(is_token, is_start, reverse)
    # Without an input to repeat, `make_inputs` receives the first token, as in `run`, and never padding.
    last = jnp.where(is_seen, last, jnp.argmax(is_token, axis=-1, keepdims=True).astype(last.dtype))

    def take(leaf: Array) -> Array:
        taken = jnp.take_along_axis(leaf, align(last, leaf), axis=is_token.ndim - 1)
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return taken
        return jnp.where(align(is_seen, leaf) | jnp.isfinite(taken), taken, 0)

    return jnp.where(is_seen[..., None], make_inputs(jax.tree.map(take, inputs)), 0)


def _find_last(
    is_token: Bool[Array, "*batch time"], is_start: Bool[Array, "*batch time"] | None, reverse: bool
) -> tuple[Int[Array, "*batch time"], Bool[Array, "*batch time"]]:
    """Returns the index of the last token up to each step, and whether there is one."""
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
