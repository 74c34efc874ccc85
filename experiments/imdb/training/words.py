"""What the model reads at a step: a word and, where the recipe has bigrams, its pair with the word before.

Pairs are not stored: a hash takes each to a row of a table, and several may share one (Weinberger et al. 2009).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from experiments.imdb.vocabulary import PADDING_ID

__all__ = ["Words", "count_padding", "read_words"]


class Words(NamedTuple):
    """The words of a review."""

    tokens: Int[Array, "*batch time"]
    pairs: Int[Array, "*batch time"] | None = None  # rows of the table of pairs; 0 where there is no pair


def read_words(tokens: Int[Array, "*batch time"], num_pairs: int) -> Words:
    """Returns the words of reviews; with `num_pairs` rows also their pairs."""
    if not num_pairs:
        return Words(tokens)
    nothing = jnp.full((*tokens.shape[:-1], 1), PADDING_ID, tokens.dtype)
    before = jnp.concatenate([nothing, tokens[..., :-1]], axis=-1)
    is_pair = (before != PADDING_ID) & (tokens != PADDING_ID)
    row = _hash(before, tokens) % jnp.uint32(num_pairs - 1) + jnp.uint32(1)
    return Words(tokens, jnp.where(is_pair, row, jnp.uint32(0)).astype(tokens.dtype))


def count_padding(tokens: Int[Array, "batch time"]) -> Int[Array, "batch"]:
    """Counts the padding in front of each review."""
    time = tokens.shape[1]
    place = jax.lax.broadcasted_iota(jnp.int32, tokens.shape, 1)
    return jnp.min(jnp.where(tokens != PADDING_ID, place, time), axis=1, initial=time)


def _hash(one: Int[Array, "*steps"], other: Int[Array, "*steps"]) -> Array:
    """Mixes two ids into 32 bits."""
    mixed = one.astype(jnp.uint32) * jnp.uint32(0x9E3779B1) ^ other.astype(jnp.uint32) * jnp.uint32(0x85EBCA6B)
    mixed = (mixed ^ jax.lax.shift_right_logical(mixed, jnp.uint32(15))) * jnp.uint32(0x2C1B3C6D)
    return mixed ^ jax.lax.shift_right_logical(mixed, jnp.uint32(13))
