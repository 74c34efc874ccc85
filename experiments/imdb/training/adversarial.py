"""Adversarial training: each review counts twice, as it is and with embeddings moved to raise its loss.

The direction is that of the loss's gradient with respect to the review's embeddings (Miyato, Dai & Goodfellow 2017).
Here its size is a share of the embeddings' own norm, so that the model can't escape by larger embeddings.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from recurrent.training import Sums

__all__ = ["Embeddings", "move", "with_adversary"]

Embeddings = Float[Array, "batch time embedding"]


def with_adversary(sums: Callable[[Any, Embeddings], Sums], zero: Embeddings, params: Any) -> tuple[Sums, Any]:
    """Returns the sums over the reviews and over the perturbed ones, and the gradient of their loss.

    Args:
        sums: (params, direction of the perturbation) -> sums over the reviews.
        zero: no perturbation.
        params: of the model; the direction is taken as fixed, no function of them.
    """

    def with_loss(params: Any, direction: Embeddings) -> tuple[Array, Sums]:
        found = sums(params, direction)
        return found.loss, found

    (gradient, slope), clean = jax.grad(with_loss, argnums=(0, 1), has_aux=True)(params, zero)
    other_gradient, moved = jax.grad(with_loss, has_aux=True)(params, _unit(slope))
    return jax.tree.map(jnp.add, clean, moved), jax.tree.map(jnp.add, gradient, other_gradient)


def move(x: Embeddings, is_word: Bool[Array, "batch time"], direction: Embeddings, share: float) -> Embeddings:
    """Moves the embeddings of each review's words in a direction of norm 1, by a share of their norm."""
    zero = jnp.zeros((), x.dtype)
    words = jax.lax.stop_gradient(jnp.where(is_word[..., None], x, zero))
    norm = jnp.sqrt(jnp.sum(jnp.square(words), axis=(1, 2), keepdims=True))
    return x + jnp.where(is_word[..., None], jnp.asarray(share, x.dtype) * norm * direction, zero)


def _unit(slope: Embeddings) -> Embeddings:
    """Scales each review's gradient to norm 1; one of zeros stays."""
    largest = jnp.max(jnp.abs(slope), axis=(1, 2), keepdims=True)  # first, so that no square underflows
    scaled = slope / jnp.where(largest > 0, largest, jnp.ones((), slope.dtype))
    return scaled / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(scaled), axis=(1, 2), keepdims=True)), 1)
