"""The noise of training: a function of the step's key and an example's number, never of its place in a batch."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from experiments.imdb.training.words import Words
from experiments.imdb.vocabulary import UNKNOWN_ID
from recurrent.network import Directions, Network
from recurrent.regularize import dropout, variational_mask, weight_drop
from recurrent.regularize.draw import is_hit
from recurrent.shapes import RandomKey

__all__ = ["Noise", "drop_inputs", "drop_weights", "drop_words", "recurrent_masks"]

_USES = ("words", "embedding", "inputs", "layers", "recurrent", "weights", "zoneout", "head", "pairs", "triples")


class Noise(NamedTuple):
    """What a step draws its noise from, and what else training alone knows."""

    key: RandomKey  # of the step
    numbers: Int[Array, "batch"]  # of the examples in the data set
    labels: Shaped[Array, "batch"]

    def key_of(self, use: str) -> RandomKey:
        """Returns the key of one use."""
        return jax.random.fold_in(self.key, _USES.index(use))


def drop_words(noise: Noise, rate: float, words: Words, is_word: Bool[Array, "batch time"]) -> Words:
    """Replaces words by the unknown word, and leaves pairs and triples out."""
    if not rate:
        return words
    tokens, pairs = words

    def draw(use: str) -> Bool[Array, "batch time"]:
        return _draw(noise.key_of(use), noise.numbers, rate, tokens.shape[1])

    kept = jnp.where(draw("words") & is_word, jnp.asarray(UNKNOWN_ID, tokens.dtype), tokens)
    if pairs is None:
        return Words(kept)
    has_triples = pairs.ndim > tokens.ndim
    dropped = jnp.stack([draw("pairs"), draw("triples")], axis=-1) if has_triples else draw("pairs")
    return Words(kept, jnp.where(dropped, jnp.zeros((), pairs.dtype), pairs))


def _draw(key: RandomKey, numbers: Int[Array, "batch"], rate: float, time: int) -> Bool[Array, "batch time"]:
    return jax.vmap(lambda number: is_hit(jax.random.fold_in(key, number), rate, (time,)))(numbers)


def drop_inputs(
    noise: Noise, whole_rate: float, step_rate: float, x: Float[Array, "batch time size"]
) -> Float[Array, "batch time size"]:
    """Drops features for whole reviews, and features of single words."""
    if whole_rate:
        x = x * variational_mask(noise.key_of("embedding"), whole_rate, noise.numbers, x.shape[-1], x.dtype)
    return dropout(noise.key_of("inputs"), step_rate, x, noise.numbers)


def recurrent_masks(noise: Noise, rate: float, network: Network) -> tuple[Directions, ...] | None:
    """Returns the masks of recurrent dropout, for each layer and direction; None for none."""
    if not rate:
        return None
    keys = jax.random.split(noise.key_of("recurrent"), (len(network.cells), 2))

    def mask(layer: int, direction: int) -> Float[Array, "batch 1 hidden"]:
        return variational_mask(keys[layer, direction], rate, noise.numbers, network.hidden_sizes[layer])

    count = 2 if network.is_bidirectional else 1
    return tuple(Directions(*(mask(layer, each) for each in range(count))) for layer in range(len(network.cells)))


def drop_weights(noise: Noise, rate: float, params: tuple[Directions, ...]) -> tuple[Directions, ...]:
    """Drops recurrent weights of all layers, the same ones for all examples of a step."""
    keys = jax.random.split(noise.key_of("weights"), (len(params), 2))
    return tuple(
        Directions(
            *(each if each is None else weight_drop(keys[layer, way], each, rate) for way, each in enumerate(own))
        )
        for layer, own in enumerate(params)
    )
