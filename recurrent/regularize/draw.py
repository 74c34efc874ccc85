"""How noise is drawn: from a key, an example's number and, where noise changes from step to step, the step's number."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from recurrent.call.arguments import as_integers
from recurrent.shapes import RandomKey

__all__ = ["check_rate", "is_hit", "number_steps"]


def is_hit(key: RandomKey, rate: float, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """Returns True with probability `rate`; drawn in float32, so that 64-bit mode draws the same."""
    return jax.random.uniform(key, shape, jnp.float32) < rate


def number_steps(numbers: Any, positions: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Returns the example's number and the position of each step, ``[*batch, time]``.

    Raises:
        ValueError: they are not integers, or not one per example or step.
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
            f"numbers {numbers.shape} and positions {positions.shape} do not fit inputs {shape}: give one number per "
            "example, or one number and one position per step."
        )
    if numbers.ndim < len(steps):
        numbers = numbers[..., None]
    return jnp.broadcast_to(numbers, steps), jnp.broadcast_to(positions, steps)


def check_rate(name: str, rate: float) -> None:
    """Raises ValueError unless 0 <= rate < 1."""
    if not 0 <= rate < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, not {rate}.")
