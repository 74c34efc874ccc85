"""The order of the data: a function of (seed, epoch), so it needs no saving."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from recurrent.call.arguments import integer
from recurrent.shapes import RandomKey
from recurrent.training.streams import VERSION, fixed_draws, stream

__all__ = ["Batches", "epoch_batches", "num_batches"]

_SORTED_BATCHES = 32


class Batches(NamedTuple):
    """Batches as rows of the examples, each batch cut into shards.

    Attributes:
        rows: places in the arrays of examples.
        weight: 1, or 0 for fill rows.
        number: the examples' numbers, from which their noise derives; the rows by default.
        is_first: whether an epoch begins with a batch, once per shard; by default with the first one.
    """

    rows: Int[np.ndarray, "batches shards rows"]
    weight: Float[np.ndarray, "batches shards rows"]
    number: Int[np.ndarray, "batches shards rows"] | None = None
    is_first: Bool[np.ndarray, "batches shards"] | None = None


def num_batches(num_examples: int, batch_size: int) -> int:
    """Counts the batches of an epoch, a short last one included."""
    return -(-num_examples // batch_size)


def epoch_batches(
    seed: int,
    epoch: int,
    num_examples: int,
    batch_size: int,
    num_shards: int,
    streams: int = VERSION,
    sizes: Int[np.ndarray, "examples"] | None = None,
) -> Batches:
    """Returns the batches of an epoch: shuffled numbers of examples, cut into batches and shards.

    A short last batch is filled with its own examples at weight 0. So its mean is that of its own examples, as in
    Keras, and no other example is read.

    Args:
        seed: from 0 to 2**64 - 1.
        epoch: from 0.
        num_examples: size of the data set, at least 1.
        batch_size: examples per batch, at least 1.
        num_shards: parts of a batch; must divide `batch_size`.
        streams: how the order derives from the seed: 2, or 1 for runs of earlier revisions.
        sizes: of the examples. Batches then hold examples of similar size: the shuffled examples are sorted by size,
            some batches at a time, and the batches are shuffled.

    Returns:
        Two NumPy arrays `[batches, shards, rows]`: `rows`, numbers of examples, and `weight`, 1 or 0.

    Raises:
        ValueError: there are no examples, the shards don't divide the batch, or an argument is not an integer in range.

    >>> from recurrent.training import epoch_batches
    >>> batches = epoch_batches(seed=0, epoch=0, num_examples=5, batch_size=2, num_shards=1)
    >>> batches.rows.shape, sorted(batches.rows[batches.weight > 0].tolist())
    ((3, 1, 2), [0, 1, 2, 3, 4])
    """
    epoch, num_examples = integer("epoch", epoch, 0), integer("num_examples", num_examples, 1, 1 << 31)
    batch_size, num_shards = integer("batch_size", batch_size, 1), integer("num_shards", num_shards, 1)
    if batch_size % num_shards:
        raise ValueError(f"num_shards ({num_shards}) must divide batch_size ({batch_size}).")
    order = _shuffle(stream(seed, "order", streams), epoch, num_examples)
    whole, num_last = divmod(num_examples, batch_size)
    if sizes is not None:
        order = _by_size(order, np.asarray(sizes), batch_size, stream(seed, "batches", streams), epoch)
    # np.resize repeats what it is given until the size is reached.
    last = np.resize(order[whole * batch_size :], batch_size if num_last else 0)
    rows = np.concatenate([order[: whole * batch_size], last])
    shape = (num_batches(num_examples, batch_size), num_shards, batch_size // num_shards)
    weight = (np.arange(rows.size) < num_examples).astype(np.float32)
    return Batches(rows.reshape(shape), weight.reshape(shape))


def _by_size(
    order: Int[np.ndarray, "examples"], sizes: Int[np.ndarray, "examples"], batch_size: int, key: RandomKey, epoch: int
) -> Int[np.ndarray, "examples"]:
    """Sorts shuffled examples by size, `_SORTED_BATCHES` batches at a time, and shuffles the whole batches."""
    pool = _SORTED_BATCHES * batch_size
    pools = [order[start : start + pool] for start in range(0, len(order), pool)]
    by_size = np.concatenate([each[np.argsort(sizes[each], kind="stable")] for each in pools])
    whole = len(order) // batch_size
    if not whole:
        return by_size
    batches = by_size[: whole * batch_size].reshape(whole, batch_size)
    return np.concatenate([batches[_shuffle(key, epoch, whole)].ravel(), by_size[whole * batch_size :]])


def _shuffle(key: RandomKey, epoch: int, num_examples: int) -> Int[np.ndarray, "examples"]:
    with fixed_draws():
        order = jax.random.permutation(jax.random.fold_in(key, np.uint32(epoch)), num_examples)
    return np.asarray(order, dtype=np.int32)
