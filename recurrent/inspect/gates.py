"""Statistics of gates: how often they are open or shut, and how long a unit keeps its content.

They take a gate of a `Trace`, such as an LSTM's `forget` or a GRU's `update`.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["Saturation", "half_lives", "saturation", "time_constants"]


class Saturation(NamedTuple):
    """The share of steps at which each unit's gate is nearly shut, and nearly open.

    >>> import jax.numpy as jnp
    >>> from recurrent.inspect import saturation
    >>> saturation(jnp.array([[0.05], [0.5]])).shut.tolist()
    [0.5]
    """

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

    Args:
        gate: ``[*steps, hidden]``, values from 0 to 1.
        is_token: ``[*steps]``, False at masked steps, which are not counted.
        low: the bound of a shut gate.
        high: the bound of an open gate.

    >>> import jax.numpy as jnp
    >>> from recurrent.inspect import saturation
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
    """Returns the number of steps after which 1/e of each unit's content is left: -1 / mean(log f).

    The mean is over logarithms, since contents are multiplied by the product of the gates. It is infinite if all gates
    are 1.

    Args:
        gate: ``[*steps, hidden]``, values from 0 to 1.
        is_token: ``[*steps]``, False at masked steps, which are not counted.

    >>> import jax.numpy as jnp
    >>> from recurrent.inspect import time_constants
    >>> [round(float(steps), 2) for steps in time_constants(jnp.array([[0.5, 0.9]]))]
    [1.44, 9.49]
    """
    loss = -_mean(jnp.log(gate), is_token)
    return jnp.where(loss == 0, jnp.inf, 1 / loss)


def half_lives(
    gate: Float[Array, "*steps hidden"], is_token: Bool[Array, "*steps"] | None = None
) -> Float[Array, "hidden"]:
    """Returns the number of steps after which half of each unit's content is left.

    Args:
        gate: ``[*steps, hidden]``, values from 0 to 1.
        is_token: ``[*steps]``, False at masked steps, which are not counted.

    >>> import jax, jax.numpy as jnp
    >>> from recurrent.inspect import half_lives
    >>> [round(float(steps), 1) for steps in half_lives(jax.nn.sigmoid(jnp.array([[0.0, 1.0, 5.0]])))]
    [1.0, 2.2, 103.2]
    """
    return math.log(2) * time_constants(gate, is_token)


def _mean(values: Float[Array, "*steps hidden"], is_token: Bool[Array, "*steps"] | None) -> Float[Array, "hidden"]:
    """Averages over all steps with a token."""
    axes = tuple(range(values.ndim - 1))
    return jnp.mean(values, axis=axes, where=None if is_token is None else is_token[..., None])
