"""How far back in a review the gradient of its loss reaches: |dL/ds_t| by the number of words after word t.

The model is assembled as in `model.py`, except that padding stands among the steps, since the gradient at each step is
wanted. There, padding is left out or computed once for all reviews.

The gradient is multiplied by a Jacobian at every step, so logarithms of norms add up, and it is logarithms that are
averaged over reviews. The slope of their mean is the rate at which the gradient vanishes.
"""

from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from experiments.imdb.report.batch_loss import total_loss
from experiments.imdb.training.parts import take_apart
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import PADDING_ID
from recurrent.inspect import decay, from_end, gradient_flow, norms

__all__ = ["Fall", "fall", "flow_norms", "typical_share"]

_REACHED = 0.01


class Fall(NamedTuple):
    """How a gradient falls, word by word from the end."""

    share: Float[np.ndarray, "lag"]
    slope: float  # per word, of a straight line through the logarithm to base 10
    half_life: float  # words until that line falls to a half; infinite if it does not fall
    reach: int | None  # words from the end until less than 1 % is left; None if no review is long enough


def flow_norms(
    recipe: Recipe, params: Any, tokens: Int[Array, "batch time"], labels: Shaped[Array, "batch"]
) -> dict[str, Float[Array, "batch time"]]:
    """Returns |dL/ds_t| for each array s of the cell's state, by the number of words from the end, 0 for the last.

    L is the log loss of a review. Entries beyond the review's first word are NaN, also where padding is input. The
    gradient of an LSTM's last memory is 0, since no later step reads it.
    """
    parts, is_word = take_apart(recipe), tokens != PADDING_ID

    def loss(_outputs: Any, final: Any) -> Float[Array, ""]:
        return total_loss(parts.head(params, final.hidden), labels)

    _, gradient = gradient_flow(
        parts.cell,
        parts.cell_params(params),
        tokens,
        loss,
        make_inputs=partial(parts.embed, params),
        is_token=None if recipe.padding == "keras" else is_word,
        dtype=recipe.dtype,
    )
    return {name: from_end(each, is_word) for name, each in norms(gradient)._asdict().items()}


def typical_share(norms: Float[np.ndarray, "batch lag"], last: Float[np.ndarray, "batch"]) -> Float[np.ndarray, "lag"]:
    """Returns the share of the gradient that is left after each lag: the geometric mean over reviews of norm / last.

    Args:
        norms: of the gradients.
        last: the norm at each review's end. Reviews where it is zero are left out.

    Returns:
        Zero where a norm underflows, and NaN where no review is long enough.
    """
    wide, ends = np.asarray(norms, np.float64)[last > 0], np.asarray(last, np.float64)[last > 0]
    is_there = ~np.isnan(wide)
    counts = is_there.sum(axis=0)
    with np.errstate(divide="ignore"):
        logarithms = np.log(np.where(is_there, wide, 1) / ends[:, None])
    sums = np.where(is_there, logarithms, 0).sum(axis=0)
    return np.where(counts > 0, np.exp(sums / np.maximum(counts, 1)), np.nan)


def fall(share: Float[np.ndarray, "lag"]) -> Fall:
    """Fits the fall of a share; slope and half-life are NaN if fewer than two values are above zero."""
    slope, half_life = (float(each) for each in decay(jnp.asarray(share, jnp.float32)))
    below = np.flatnonzero(share[1:] < _REACHED)
    return Fall(share, slope, half_life, int(below[0]) + 1 if below.size else None)
