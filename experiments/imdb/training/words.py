"""What the model reads at a step: a word and, where the recipe has them, its pair and triple with the words before."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt

from experiments.imdb.pairs import Pairs, mix
from experiments.imdb.vocabulary import PADDING_ID

__all__ = ["Words", "count_padding", "read_words"]


class Words(NamedTuple):
    """The words of a review."""

    tokens: Int[Array, "*batch time"]
    pairs: Int[Array, "*steps"] | None = None  # rows of the table of pairs; 0 where there is no known one


def read_words(tokens: Int[Array, "*batch time"], pairs: Pairs | None, has_triples: bool = False) -> Words:
    """Returns the words of reviews, and the rows of their pairs if pairs are given.

    Args:
        tokens: the ids of the reviews.
        pairs: the known ones.
        has_triples: whether triples are looked up too; rows then have a last axis of two.
    """
    if pairs is None:
        return Words(tokens)
    before = _before(tokens)
    rows = _rows(pairs, mix(before, tokens), (before != PADDING_ID) & (tokens != PADDING_ID))
    if has_triples:
        first = _before(before)
        is_triple = (first != PADDING_ID) & (before != PADDING_ID) & (tokens != PADDING_ID)
        rows = jnp.stack([rows, _rows(pairs, mix(mix(first, before), tokens), is_triple)], axis=-1)
    return Words(tokens, rows.astype(tokens.dtype))


def _before(tokens: Int[Array, "*batch time"]) -> Int[Array, "*batch time"]:
    """Returns the id before each id."""
    nothing = jnp.full((*tokens.shape[:-1], 1), PADDING_ID, tokens.dtype)
    return jnp.concatenate([nothing, tokens[..., :-1]], axis=-1)


def _rows(
    pairs: Pairs, hashes: UInt[Array, "*batch time"], are_words: Bool[Array, "*batch time"]
) -> Int[Array, "*batch time"]:
    if not len(pairs):
        return jnp.zeros(hashes.shape, jnp.int32)
    known = jnp.asarray(np.array(pairs.hashes, np.uint32))
    place = jnp.minimum(jnp.searchsorted(known, hashes), len(pairs) - 1)
    return jnp.where(are_words & (known[place] == hashes), place + 1, 0)


def count_padding(tokens: Int[Array, "batch time"]) -> Int[Array, "batch"]:
    """Counts the padding in front of each review."""
    time = tokens.shape[1]
    place = jax.lax.broadcasted_iota(jnp.int32, tokens.shape, 1)
    return jnp.min(jnp.where(tokens != PADDING_ID, place, time), axis=1, initial=time)
