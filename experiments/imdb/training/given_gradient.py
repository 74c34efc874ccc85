"""Sums whose gradient is computed along with them, where JAX's own derivative of them would cost more.

The derivative of `jax.lax.switch` hands on what each branch needs for its derivative: whichever branch is taken, arrays
of zeros are made in place of those of all others. And the direction of an adversary needs a pass backward, which an
outer derivative would repeat.
"""

from collections.abc import Callable
from typing import Any

import jax

from recurrent.training import Sums

__all__ = ["sums_and_gradient", "with_gradient"]


def sums_and_gradient(sums: Callable[[Any], Sums], params: Any) -> tuple[Sums, Any]:
    """Returns sums, and the gradient of their loss with respect to the params."""

    def with_loss(params: Any) -> tuple[Any, Sums]:
        found = sums(params)
        return found.loss, found

    gradient, found = jax.grad(with_loss, has_aux=True)(params)
    return found, gradient


def with_gradient(differentiate: Callable[[Any, Any], tuple[Sums, Any]], params: Any, batch: Any) -> Sums:
    """Returns sums whose loss has the gradient that is computed along with them.

    Args:
        differentiate: (params, batch) -> (sums, gradient of their loss).
        params: of the model.
        batch: arrays, which `differentiate` must not take from elsewhere: JAX would lose them within a nested `jit`.
    """

    def backward(gradient: Any, slopes: Sums) -> tuple[Any, None]:
        return jax.tree.map(lambda leaf: leaf * slopes.loss.astype(leaf.dtype), gradient), None

    both = jax.custom_vjp(lambda params, batch: differentiate(params, batch)[0])
    both.defvjp(differentiate, backward)
    return both(params, batch)
