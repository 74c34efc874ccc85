"""Shortcuts past a layer: what it is given is added to what it puts out."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

__all__ = ["add_shortcut", "has_shortcut"]

MakeInputs = Callable[[Any], Any]


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
    make_inputs: MakeInputs | None = None,
) -> list[Array]:
    """Adds a layer's input to its output, in each direction its part of it."""
    xs = [_hold(inputs, make_inputs, is_token, is_start, bool(reverse)) for reverse in range(len(halves))]
    parts = [jnp.split(x, len(halves), axis=-1)[reverse] for reverse, x in enumerate(xs)]
    return [half + part.astype(half.dtype) for half, part in zip(halves, parts, strict=True)]


def _hold(
    inputs: Any,
    make_inputs: MakeInputs | None,
    is_token: Bool[Array, "*batch time"] | None,
    is_start: Bool[Array, "*batch time"] | None,
    reverse: bool,
) -> Array:
    """Repeats inputs where there is no token as `run` repeats outputs: zero before the first one and after a start."""
    make = make_inputs or _as_they_are
    if is_token is None or is_token.shape[-1] == 0:
        return make(inputs)
    last, is_seen = _find_last(is_token, is_start, reverse)
    # Where there is nothing to repeat a token's input stands too, so that `make_inputs` is never given padding.
    last = jnp.where(is_seen, last, jnp.argmax(is_token, axis=-1, keepdims=True).astype(last.dtype))
    time = is_token.ndim - 1

    def take(leaf: Array) -> Array:
        return jnp.take_along_axis(leaf, last.reshape(last.shape + (1,) * (leaf.ndim - last.ndim)), axis=time)

    return jnp.where(is_seen[..., None], make(jax.tree.map(take, inputs)), 0)


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


def _as_they_are(inputs: Any) -> Any:
    return inputs
