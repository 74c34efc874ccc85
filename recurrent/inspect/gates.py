"""What gates say about memory: how often they are shut or open, and how long what they keep lasts.

Take a gate of a `Trace`: an LSTM's `forget`, or a GRU's `update`, which keeps as that does.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["Saturation", "half_lives", "saturation", "time_constants"]


class Saturation(NamedTuple):
    """The share of steps at which a unit's gate passes next to nothing, or next to all."""

    shut: Float[Array, "hidden"]
    open: Float[Array, "hidden"]


def saturation(
    gate: Float[Array, "*steps hidden"],
    is_token: Bool[Array, "*steps"] | None = None,
    *,
    low: float = 0.1,
    high: float = 0.9,
) -> Saturation:
    """Returns how often each unit's gate is below `low` and above `high` (Karpathy, Johnson & Fei-Fei 2015).

    >>> import jax.numpy as jnp
    >>> shut, open = saturation(jnp.array([[0.05, 0.5], [0.95, 0.5]]))
    >>> shut.tolist(), open.tolist()
    ([0.5, 0.0], [0.5, 0.0])
    """
    return Saturation(
        _mean((gate < low).astype(gate.dtype), is_token), _mean((gate > high).astype(gate.dtype), is_token)
    )


def time_constants(
    gate: Float[Array, "*steps hidden"], is_token: Bool[Array, "*steps"] | None = None
) -> Float[Array, "hidden"]:
    """Returns the steps after which 1/e is left of what each unit keeps: -1 / mean(log f).

    The mean of logarithms, since it is the product of the gates that is left; infinite where all of them are 1.
    """
    loss = -_mean(jnp.log(gate), is_token)
    return jnp.where(loss == 0, jnp.inf, 1 / loss)


def half_lives(
    gate: Float[Array, "*steps hidden"], is_token: Bool[Array, "*steps"] | None = None
) -> Float[Array, "hidden"]:
    """Returns the steps after which half is left of what each unit keeps.

    >>> import jax, jax.numpy as jnp
    >>> [round(float(steps), 1) for steps in half_lives(jax.nn.sigmoid(jnp.array([[0.0, 1.0, 5.0]])))]
    [1.0, 2.2, 103.2]
    """
    return math.log(2) * time_constants(gate, is_token)


def _mean(values: Float[Array, "*steps hidden"], is_token: Bool[Array, "*steps"] | None) -> Float[Array, "hidden"]:
    """Averages over all steps with a token."""
    axes = tuple(range(values.ndim - 1))
    return jnp.mean(values, axis=axes, where=None if is_token is None else is_token[..., None])
