"""What a batch is, and what training adds up over its examples.

Everything is a sum over examples, never a mean: sums of parts of a batch add up to that of the whole, in a fixed order
on any number of devices, and rows that only fill up a short batch count nothing.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from recurrent.cells.precision import carry_dtype

__all__ = ["Batch", "Sums", "add", "binary_cross_entropy"]


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

    Sums are in at least float32, whatever the dtype of the logits. A row of weight 0 adds nothing to values and
    gradients, whatever it holds.

    Raises:
        ValueError: the logits are not floating point, or shapes differ. A (batch, 1) against a (batch,) would broadcast
            to (batch, batch).
    """
    logits, labels, weight = (jnp.asarray(each) for each in (logits, labels, weight))
    if not logits.shape == labels.shape == weight.shape:
        raise ValueError(f"logits, labels and weight differ in shape: {logits.shape}, {labels.shape}, {weight.shape}.")
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise ValueError(f"logits must be floating point, not {logits.dtype}.")
    dtype, is_counted = carry_dtype(logits.dtype), weight != 0
    zero = jnp.zeros((), dtype)
    logits = jnp.where(is_counted, logits.astype(dtype), zero)
    labels = jnp.where(is_counted, labels.astype(dtype), zero)
    loss = optax.sigmoid_binary_cross_entropy(logits, labels)
    is_correct = (logits > 0) == (labels > 0.5)
    weight = weight.astype(dtype)
    return Sums(jnp.sum(loss * weight), jnp.sum(is_correct.astype(dtype) * weight), jnp.sum(weight))


def add(total: Sums, residue: Sums, more: Sums) -> tuple[Sums, Sums]:
    """Adds to running sums without losing digits: returns the sums, and what each lacks of the exact one.

    A float32 counts one by one up to 2**24; with its residue it does so up to 2**48.
    Source: TwoSum (Knuth 1969), then normalised (Dekker 1971).
    """
    added = [_add(*each) for each in zip(total, residue, more, strict=True)]
    return Sums(*(each[0] for each in added)), Sums(*(each[1] for each in added))


def _add(high: Array, low: Array, more: Array) -> tuple[Array, Array]:
    more = more.astype(high.dtype)
    rounded = high + more
    share = rounded - high
    low += (high - (rounded - share)) + (more - share)
    total = rounded + low
    return total, low - (total - rounded)
