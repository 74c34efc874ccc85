"""Sigmoid and tanh of a block of gates, accurate in value and in derivative::

    e = exp(-y),  d = 1 / (1 + e),  where y = x for a sigmoid and 2 x for a tanh
    sigmoid(x)  = d          tanh'(x) = 4 (e d) d
    sigmoid'(x) = (e d) d

Values and derivatives of the sigmoid, and derivatives of the tanh, have a relative error of a few units in the last
place wherever they exceed 1e-37. Common alternatives are less accurate: ``tanh(x / 2) / 2 + 1 / 2`` has an absolute
error of 6e-8, so a nearly closed gate has no correct digit, and ``s (1 - s)`` fails likewise for a nearly open gate.
The gates of an LSTM that remembers for a thousand steps are nearly closed or nearly open.

The gates of a step are one array, since on a CPU one array per gate takes up to three times as long.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["open_gates", "sigmoid"]


def sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Computes 1 / (1 + exp(-x))."""
    return _squash((False,), x)


def open_gates(block: Float[Array, "gates"], is_sigmoid: Sequence[bool]) -> list[Float[Array, "hidden"]]:
    """Splits a block of units into gates; applies sigmoid where `is_sigmoid` is True and tanh elsewhere."""
    return jnp.split(_squash(tuple(not each for each in is_sigmoid), block), len(is_sigmoid))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _squash(is_tanh: tuple[bool, ...], x: Float[Array, "..."]) -> Float[Array, "..."]:
    open_share = 1 / (1 + jnp.exp(-x))
    return jnp.where(_of_units(is_tanh, x), jnp.tanh(x), open_share) if any(is_tanh) else open_share


@_squash.defjvp
def _squash_jvp(
    is_tanh: tuple[bool, ...], primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    (x,), (dx,) = primals, tangents
    scale = np.where(_of_units(is_tanh, x), 2.0, 1.0).astype(x.dtype)
    largest = np.floor(np.log(np.finfo(x.dtype).max))  # beyond it e is infinite, and 0 * e is NaN
    e = jnp.exp(jnp.minimum(-x * scale, largest))
    d = 1 / (1 + e)
    value = jnp.where(_of_units(is_tanh, x), jnp.tanh(x), d) if any(is_tanh) else d
    return value, (e * d) * d * (scale * scale) * dx


def _of_units(of_gates: tuple[bool, ...], x: Array) -> np.ndarray:
    """Repeats each gate's value for all of its units."""
    if len(of_gates) == 1:
        return np.asarray(of_gates[0])
    return np.repeat(np.asarray(of_gates), x.shape[-1] // len(of_gates))
