"""Takes a training review's own count out of the naive Bayes' ratios in its embeddings.

The ratios are counted on the training reviews, so they correlate more with the label of a training review than with
that of a new one: a pair that one review alone holds has the sign of that review's class. A network that trains on them
overfits. Without the review's own count the ratios are those that the other reviews give: the leave-one-out estimate of
target encoding (Micci-Barreca 2001).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

__all__ = ["OwnCounts", "Shares", "shares_of"]


class Shares(NamedTuple):
    """What a review's own count adds to the ratios of a row, by class: of its own class, and of any other."""

    own: Float[np.ndarray, "rows directions"]
    other: Float[np.ndarray, "rows directions"]


class OwnCounts(NamedTuple):
    """What a review's own count adds to its embeddings.

    Args:
        shares: of the rows of each table, "embedding" and "pairs".
        directions: of the ratios in the embeddings of words, times their size.
        pair_directions: the same in the table of pairs.
    """

    shares: dict[str, Shares]
    directions: Float[np.ndarray, "directions embedding"]
    pair_directions: Float[np.ndarray, "directions features"]

    def of_words(
        self, tokens: Int[Array, "batch time"], labels: Shaped[Array, "batch"]
    ) -> Float[Array, "batch time embedding"]:
        """Returns what the reviews' own counts add to the embeddings of their words."""
        return _look_up(self.shares["embedding"], tokens, labels) @ jnp.asarray(self.directions)

    def of_pairs(
        self, rows: Int[Array, "batch time *orders"], labels: Shaped[Array, "batch"]
    ) -> Float[Array, "batch time *orders features"]:
        """Returns what they add to rows of the table of pairs."""
        return _look_up(self.shares["pairs"], rows, labels) @ jnp.asarray(self.pair_directions)


def shares_of(counts: Int[np.ndarray, "rows classes"], num_directions: int) -> Shares:
    """Returns the shares of each row of a table from the number of reviews of each class that hold it.

    A ratio is log(1 + reviews of the class) - log(1 + other reviews), less what all rows have in common. The common
    part is left as it is: one review changes it by about its share of all reviews.

    Args:
        counts: of each row and class.
        num_directions: the last classes, as many, have a direction.
    """
    others = counts.sum(axis=1, keepdims=True) - counts
    own, other = (_last(each[:, -num_directions:]).astype(np.float32) for each in (counts, others))
    return Shares(own, -other)


def _last(counts: Int[np.ndarray, "rows directions"]) -> Float[np.ndarray, "rows directions"]:
    """Returns what the last one of a count adds to log(1 + count)."""
    return np.where(counts > 0, np.log1p(counts) - np.log(np.maximum(counts, 1)), 0.0)


def _look_up(
    shares: Shares, rows: Int[Array, "batch time *orders"], labels: Shaped[Array, "batch"]
) -> Float[Array, "batch time *orders directions"]:
    num_directions = shares.own.shape[1]
    first = 1 if num_directions == 1 else 0  # of two classes, the second alone has a direction
    is_own = labels.astype(jnp.int32)[:, None] == jnp.arange(first, first + num_directions)[None]
    is_own = is_own.reshape(len(rows), *(1,) * (rows.ndim - 1), num_directions)
    return jnp.where(is_own, jnp.asarray(shares.own)[rows], jnp.asarray(shares.other)[rows])
