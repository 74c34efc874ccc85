"""How noise is drawn: from a key, the number of an example and, where it changes from step to step, the step's own."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from recurrent.call.arguments import as_arrays
from recurrent.shapes import RandomKey

__all__ = ["as_integers", "check_rate", "is_hit", "number_steps"]


def is_hit(key: RandomKey, rate: float, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """Says of each place whether the noise hits it; in float32, so that the same places are hit in 64-bit mode too."""
    return jax.random.uniform(key, shape, jnp.float32) < rate


def number_steps(numbers: Any, positions: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Returns the number of the example and the position of each step, [*batch, time].

    Raises:
        ValueError: they are not integers, or not one for each example or step.
    """
    numbers = as_integers("numbers", numbers)
    positions = None if positions is None else as_integers("positions", positions)
    steps = shape[: numbers.ndim + 1] if positions is None else positions.shape
    if positions is None:
        positions = jnp.arange(steps[-1])
        allowed = (steps[:-1],)
    else:
        allowed = (steps[:-1], steps)
    if numbers.shape not in allowed or steps != shape[: len(steps)]:
        raise ValueError(
            f"numbers {numbers.shape} and positions {positions.shape} do not fit inputs {shape}: "
            "numbers are one an example, or one a step where positions are given, and those one a step."
        )
    if numbers.ndim < len(steps):
        numbers = numbers[..., None]
    return jnp.broadcast_to(numbers, steps), jnp.broadcast_to(positions, steps)


def check_rate(name: str, rate: float) -> None:
    """Raises ValueError for a rate that is no probability below 1."""
    if not 0 <= rate < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, not {rate}.")


def as_integers(name: str, value: Any) -> Array:
    """Makes an array of an array-like of integers.

    Raises:
        ValueError: it is none.
    """
    array = as_arrays(name, value)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, not {array.dtype}.")
    return array
