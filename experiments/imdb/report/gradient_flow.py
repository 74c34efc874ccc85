"""How far back in a review the gradient of its loss reaches: |dL/ds_t| by the number of words that follow word t.

The model is put together as in `model.py`, but for padding: what is left out there, or computed once for all reviews,
stands here among the steps, since it is the gradient at each of them that is asked for.

A gradient is multiplied by a Jacobian at every step, so it is the logarithms of norms that add up, and that are
averaged over reviews: the slope of their mean is the rate at which a gradient vanishes in the long run.
"""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from experiments.imdb.reviews.vocabulary import PADDING_ID
from experiments.imdb.training.model import take_apart
from experiments.imdb.training.recipes import Recipe
from recurrent.inspect import decay, from_end, gradient_flow, norms
from recurrent.training.objective import binary_cross_entropy

__all__ = ["Fall", "fall", "flow_norms", "typical_share"]

_REACHED = 0.01


class Fall(NamedTuple):
    """How what is left of a gradient falls, word by word from the end."""

    share: Float[np.ndarray, "lag"]
    slope: float  # of a straight line through its logarithm to base 10, a word
    half_life: float  # words in which that line falls by half; infinite where it does not fall
    reach: int | None  # the first word from the end of which less than 1 % arrives; None where it is beyond all reviews


def flow_norms(
    recipe: Recipe, params: Any, tokens: Int[Array, "batch time"], labels: Float[Array, "batch"]
) -> dict[str, Float[Array, "batch time"]]:
    """Returns |dL/ds_t| for each array s of the cell's state, by the number of words from the end, 0 for the last.

    L is the log loss of a review. What a review is too short for is NaN: its padding, also where that is read. An
    LSTM's last memory has no gradient of its own, since nothing reads it but the last output.
    """
    parts, is_word = take_apart(recipe), tokens != PADDING_ID

    def total_loss(_outputs: Any, final: Any) -> Float[Array, ""]:
        return binary_cross_entropy(parts.head(params, final.hidden), labels, jnp.ones_like(labels)).loss

    _, gradient = gradient_flow(
        parts.cell,
        parts.cell_params(params),
        tokens,
        total_loss,
        make_inputs=partial(parts.embed, params),
        is_token=None if recipe.padding == "keras" else is_word,
        dtype=recipe.dtype,
    )
    return {name: from_end(each, is_word) for name, each in norms(gradient)._asdict().items()}


def typical_share(norms: Float[np.ndarray, "batch lag"], last: Float[np.ndarray, "batch"]) -> Float[np.ndarray, "lag"]:
    """Returns what is left of gradients after so many words: the geometric mean over reviews of norm / last.

    Args:
        last: the norm at each review's end. Reviews where it is zero, whose loss is none, are left out.

    Returns:
        Zero where a norm has left the range of its numbers, and NaN where no review is long enough.
    """
    wide, ends = np.asarray(norms, np.float64)[last > 0], np.asarray(last, np.float64)[last > 0]
    is_there = ~np.isnan(wide)
    counts = is_there.sum(axis=0)
    with np.errstate(divide="ignore"):
        logarithms = np.log(np.where(is_there, wide, 1) / ends[:, None])
    sums = np.where(is_there, logarithms, 0).sum(axis=0)
    return np.where(counts > 0, np.exp(sums / np.maximum(counts, 1)), np.nan)


def fall(share: Float[np.ndarray, "lag"]) -> Fall:
    """Describes how a share falls; slope and half-life are NaN where fewer than two values are above zero."""
    slope, half_life = (float(each) for each in decay(jnp.asarray(share, jnp.float32)))
    below = np.flatnonzero(share[1:] < _REACHED)
    return Fall(share, slope, half_life, int(below[0]) + 1 if below.size else None)
