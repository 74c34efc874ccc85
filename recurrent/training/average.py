"""Averages of params over steps, which often predict better than the last params do.

Both are rates r of a step t: `average += r * (params - average)`.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recurrent.call.arguments import integer

__all__ = ["Average", "exponential_average", "uniform_average"]

Average = Callable[[Int[Array, ""]], Float[Array, ""]]
"""(steps before this one) -> the rate at which the average moves to the new params, from 0 to 1."""


def exponential_average(decay: float) -> Average:
    """Returns an average that forgets: each step counts `decay` times as much as the next one (Polyak & Juditsky 1992).

    Until 1 / (1 - decay) steps are done, it is the mean of all of them, so that the initial params do not stay in it.

    Raises:
        ValueError: the decay does not lie in [0, 1).

    >>> from recurrent.training import exponential_average
    >>> rate = exponential_average(0.9)
    >>> [round(float(rate(step)), 2) for step in (0, 1, 50)]
    [1.0, 0.5, 0.1]
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay must lie in [0, 1), not {decay}.")
    return lambda step: jnp.maximum(jnp.float32(1 - decay), 1 / (jnp.asarray(step, jnp.float32) + 1))


def uniform_average(start: int) -> Average:
    """Returns the mean of the params after the steps from `start` on (SWA, Izmailov et al. 2018); before, the params.

    Args:
        start: the first step that counts, from 0.

    Raises:
        ValueError: it is not an integer of at least 0.

    >>> from recurrent.training import uniform_average
    >>> rate = uniform_average(100)
    >>> [round(float(rate(step)), 2) for step in (0, 100, 103)]
    [1.0, 1.0, 0.25]
    """
    start = integer("start", start, 0)
    return lambda step: 1 / jnp.maximum(jnp.asarray(step, jnp.float32) - start + 1, 1)
