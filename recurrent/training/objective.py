"""What a batch is, and what training adds up over its examples.

Everything is a sum over examples, never a mean: sums of parts of a batch add up to that of the whole, in a fixed order
on any number of devices, and rows that only fill up a short batch count nothing.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

__all__ = ["Batch", "Sums", "binary_cross_entropy"]


class Batch(NamedTuple):
    """Rows of the data set."""

    examples: Any  # the data set's own NamedTuple of arrays, cut to [batch, ...]
    number: Int[Array, "batch"]  # the row's number in the data set: what an example's random numbers derive from
    weight: Float[Array, "batch"]  # 1, or 0 for a row that only fills up the batch


class Sums(NamedTuple):
    """Sums over examples; `loss / weight` is the mean loss and `correct / weight` the accuracy."""

    loss: Float[Array, ""]
    correct: Float[Array, ""]
    weight: Float[Array, ""]


def binary_cross_entropy(
    logits: Float[Array, "batch"], labels: Float[Array, "batch"], weight: Float[Array, "batch"]
) -> Sums:
    """Sums cross-entropy and right answers of one-logit predictions; a logit above 0 predicts label 1.

    Raises:
        ValueError: shapes differ. A (batch, 1) against a (batch,) would broadcast to (batch, batch).
    """
    if not logits.shape == labels.shape == weight.shape:
        raise ValueError(f"logits, labels and weight differ in shape: {logits.shape}, {labels.shape}, {weight.shape}.")
    loss = optax.sigmoid_binary_cross_entropy(logits, labels.astype(logits.dtype))
    weight = weight.astype(logits.dtype)
    is_correct = (logits > 0) == (labels > 0.5)
    return Sums(jnp.sum(loss * weight), jnp.sum(is_correct.astype(weight.dtype) * weight), jnp.sum(weight))
