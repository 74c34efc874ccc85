"""The log loss of a batch as a sum, for runs of two classes and of more."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recurrent.cells.precision import carry_dtype
from recurrent.training import binary_cross_entropy

__all__ = ["total_loss"]


def total_loss(logits: Any, labels: Array) -> Float[Array, ""]:
    """Returns the sum of -log P(label), from logits [batch] of two classes or [batch, classes] of more."""
    if logits.ndim == 1:
        labels = labels.astype(carry_dtype(logits.dtype))
        return binary_cross_entropy(logits, labels, jnp.ones_like(labels)).loss
    log_probability = jax.nn.log_softmax(logits.astype(carry_dtype(logits.dtype)), axis=-1)
    return -jnp.sum(jnp.take_along_axis(log_probability, labels.astype(jnp.int32)[:, None], axis=-1))
