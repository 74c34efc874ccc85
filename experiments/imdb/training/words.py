"""What the model reads at a step: a word and, where the recipe has bigrams, its pair with the word before."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from experiments.imdb.pairs import Pairs, mix
from experiments.imdb.vocabulary import PADDING_ID

__all__ = ["Words", "count_padding", "read_words"]


class Words(NamedTuple):
    """The words of a review."""

    tokens: Int[Array, "*batch time"]
    pairs: Int[Array, "*batch time"] | None = None  # rows of the table of pairs; 0 where there is no known pair


def read_words(tokens: Int[Array, "*batch time"], pairs: Pairs | None) -> Words:
    """Returns the words of reviews, and the rows of their pairs if pairs are given."""
    if pairs is None:
        return Words(tokens)
    if not len(pairs):
        return Words(tokens, jnp.zeros_like(tokens))
    nothing = jnp.full((*tokens.shape[:-1], 1), PADDING_ID, tokens.dtype)
    before = jnp.concatenate([nothing, tokens[..., :-1]], axis=-1)
    known, hashed = jnp.asarray(np.array(pairs.hashes, np.uint32)), mix(before, tokens)
    place = jnp.minimum(jnp.searchsorted(known, hashed), len(pairs) - 1)
    is_known = (before != PADDING_ID) & (tokens != PADDING_ID) & (known[place] == hashed)
    return Words(tokens, jnp.where(is_known, place + 1, 0).astype(tokens.dtype))


def count_padding(tokens: Int[Array, "batch time"]) -> Int[Array, "batch"]:
    """Counts the padding in front of each review."""
    time = tokens.shape[1]
    place = jax.lax.broadcasted_iota(jnp.int32, tokens.shape, 1)
    return jnp.min(jnp.where(tokens != PADDING_ID, place, time), axis=1, initial=time)
