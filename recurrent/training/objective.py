"""A batch, and what training adds up over its examples.

Everything is a sum over examples, never a mean. So the sums of a batch's parts add up to the sum of the whole, in a
fixed order on any number of devices, and the rows that fill up a short batch add nothing.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from recurrent.cells.precision import carry_dtype

__all__ = ["Batch", "Sums", "add", "binary_cross_entropy", "check_metric", "zero_sums"]

_MISSING: Any = None  # refused where sums are taken
_RESERVED = ("epoch", "step", "loss", "weight", "skipped")  # what a record holds beside metrics


class Batch(NamedTuple):
    """A batch, or one shard of it, as an objective gets it.

    Attributes:
        examples: the data set's own tree of arrays, each cut to `[batch, ...]`.
        number: each row's number in the data set, `[batch]`. Derive an example's random numbers from it.
        weight: 1, or 0 for a row that only fills up a short batch, `[batch]`.

    >>> import jax.numpy as jnp
    >>> from recurrent.training import Batch
    >>> Batch(examples=jnp.ones((2, 5)), number=jnp.array([7, 3]), weight=jnp.array([1.0, 0.0])).number
    Array([7, 3], dtype=int32)
    """

    examples: Any
    number: Int[Array, "batch"]
    weight: Float[Array, "batch"]


class Sums(NamedTuple):
    """Sums over examples, or over whatever the loss counts, such as words. `loss / weight` is the mean loss.

    Attributes:
        loss: of the examples' losses times their weights.
        correct: of the weights of examples that are predicted correctly, for a classifier; it is the metric `acc`.
        weight: of the examples' weights.
        metrics: name -> sum of a metric times the weights; it is reported as sum / weight.

    >>> from recurrent.training import Sums
    >>> sums = Sums(loss=1.2, weight=4.0, metrics={"acc": 3.0})
    >>> sums.metrics["acc"] / sums.weight
    0.75
    """

    loss: Float[Array, ""]
    correct: Float[Array, ""] | None = None
    weight: Float[Array, ""] = _MISSING
    metrics: dict[str, Float[Array, ""]] = {}  # noqa: RUF012, never changed


def zero_sums(metrics: Iterable[str] = ()) -> Sums:
    """Returns sums before the first example.

    Raises:
        ValueError: a metric's name is not text, is given twice, or would hide another field of a record.
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in names:
        check_metric(name)
    if len(set(names)) < len(names):
        raise ValueError(f"metrics names one twice: {', '.join(names)}.")
    zeros = {name: jnp.zeros((), jnp.float32) for name in names}
    return Sums(loss=jnp.zeros((), jnp.float32), weight=jnp.zeros((), jnp.float32), metrics=zeros)


def check_metric(name: Any) -> None:
    """Checks the name of a metric of training.

    Raises:
        ValueError: it is not text, or it would hide another field of a record.
    """
    if not isinstance(name, str) or not name or name in _RESERVED or name.startswith("val_"):
        reserved = ", ".join(_RESERVED)
        raise ValueError(
            f"A metric can't be named {name!r}: use other text than {reserved} and val_..., as records do."
        )


def binary_cross_entropy(
    logits: Float[Array, "batch"], labels: Float[Array, "batch"], weight: Float[Array, "batch"]
) -> Sums:
    """Returns the sums of cross-entropy (in nats) and of correct predictions; a logit above 0 predicts label 1.

    Sums are in at least float32, whatever the dtype of the logits. A row of weight 0 adds nothing to values and
    gradients, even if it holds NaN.

    Args:
        logits: `[batch]`, floating point.
        labels: `[batch]`, 0 or 1.
        weight: `[batch]`, as in `Batch`.

    Raises:
        ValueError: the logits are not floating point, or shapes differ. (A `[batch, 1]` with a `[batch]` would
            broadcast to `[batch, batch]`.)

    >>> import jax.numpy as jnp
    >>> from recurrent.training import binary_cross_entropy
    >>> sums = binary_cross_entropy(jnp.array([2.0, -1.0]), jnp.array([1.0, 1.0]), jnp.ones(2))
    >>> print(f"{sums.loss / sums.weight:.3f} {sums.correct / sums.weight:.1f}")
    0.720 0.5
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
    correct = jnp.sum(is_correct.astype(dtype) * weight)
    return Sums(jnp.sum(loss * weight), correct, jnp.sum(weight))


def add(total: Sums, residue: Sums, more: Sums) -> tuple[Sums, Sums]:
    """Adds to running sums without losing digits: returns the sums, and the rounding error of each.

    A float32 counts in steps of one up to 2**24; with its residue, up to 2**48.
    Source: TwoSum (Knuth 1969), then normalised (Dekker 1971).
    """
    leaves, structure = jax.tree.flatten(total)
    added = [_add(*each) for each in zip(leaves, jax.tree.leaves(residue), jax.tree.leaves(more), strict=True)]
    sums, residues = zip(*added, strict=True)
    return jax.tree.unflatten(structure, sums), jax.tree.unflatten(structure, residues)


def _add(high: Array, low: Array, more: Array) -> tuple[Array, Array]:
    more = more.astype(high.dtype)
    rounded = high + more
    share = rounded - high
    low += (high - (rounded - share)) + (more - share)
    total = rounded + low
    return total, low - (total - rounded)
