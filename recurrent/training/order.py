"""The order of the data: a function of (seed, epoch), so that nothing of it needs saving."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

__all__ = ["Batches", "epoch_batches", "num_batches"]


class Batches(NamedTuple):
    """An epoch's batches as numbers of examples, each batch cut into shards."""

    rows: Int[np.ndarray, "batches shards rows"]
    weight: Float[np.ndarray, "batches shards rows"]


def num_batches(num_examples: int, batch_size: int) -> int:
    """Counts the batches of an epoch, a short last one included."""
    return -(-num_examples // batch_size)


def epoch_batches(seed: int, epoch: int, num_examples: int, batch_size: int, num_shards: int) -> Batches:
    """Shuffles the examples anew for an epoch and cuts them into batches.

    A short last batch is filled up with rows of weight 0: its mean is that of its own examples, as in Keras.

    Raises:
        ValueError: there are no examples, or the shards don't divide the batch.
    """
    if num_examples < 1:
        raise ValueError("There are no examples to train on.")
    if batch_size < 1 or num_shards < 1 or batch_size % num_shards:
        raise ValueError(f"num_shards ({num_shards}) must divide batch_size ({batch_size}), and both be at least 1.")
    key = jax.random.fold_in(jax.random.key(seed), epoch)
    order = np.asarray(jax.random.permutation(key, num_examples), dtype=np.int32)
    shape = (num_batches(num_examples, batch_size), num_shards, batch_size // num_shards)
    rows, weight = np.zeros(np.prod(shape), np.int32), np.zeros(np.prod(shape), np.float32)
    rows[:num_examples], weight[:num_examples] = order, 1
    return Batches(rows.reshape(shape), weight.reshape(shape))
