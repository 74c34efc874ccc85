"""Contributions of words to the logit: integrated gradients, and occlusion to check them.

    IG_t = (x_t - x'_t) . integral over a in [0, 1] of dF/dx_t at x' + a (x - x')

F is the log-odds of a class, x_t a word's embedding and x' an empty text. Integrated gradients are complete: they sum
to F(x) - F(x') (Sundararajan, Taly & Yan 2017). Occlusion replaces one word at a time by the empty text's embedding and
measures the change of the log-odds (Zeiler & Fergus 2014).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from experiments.imdb.answers.log_odds import traced_log_odds
from experiments.imdb.pairs import Pairs
from experiments.imdb.training.parts import take_inputs_apart
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import PADDING_ID

__all__ = ["Attribution", "Explainers", "integrate", "make_explainers"]

_POINTS = (16, 32, 64, 128, 256)  # of the quadrature, until the tolerance is met
_ROWS = 64  # texts in one call of the program


class Attribution(NamedTuple):
    """The contribution of each word, in units of the log-odds."""

    words: Float[np.ndarray, "time"]
    logit: float  # F(x)
    baseline: float  # F(x'), of an empty text
    gap: float  # logit - baseline - the sum over words
    points: int  # of the quadrature


class Explainers(NamedTuple):
    """Two measures of contribution, for tokens [time] that are padded in front, and a class's number, 1 by default."""

    integrated_gradients: Callable[..., Attribution]  # (tokens, number)
    occlusion: Callable[..., Float[np.ndarray, "time"]]  # (tokens, number)


def make_explainers(recipe: Recipe, params: Any, pairs: Pairs | None = None, tolerance: float = 1e-3) -> Explainers:
    """Compiles both measures for a model.

    The empty text has the embedding of padding where padding is input, and zero where padding is masked.

    Args:
        recipe: of the model.
        params: its params.
        pairs: those of its vocabulary.
        tolerance: of the gap, relative to |logit - baseline| or to 1, whichever is larger; points are added until it
            is met.
    """
    whole = take_inputs_apart(recipe, pairs)

    def logit(
        tokens: Int[Array, "time"], number: Int[Array, ""], inputs: Float[Array, "rows time embedding"]
    ) -> Float[Array, "rows"]:
        is_word = jnp.broadcast_to(jnp.cumsum(tokens != PADDING_ID) > 0, inputs.shape[:2])
        return traced_log_odds(whole.logits(params, inputs, is_word), number, recipe.num_classes)

    def ends(tokens: Int[Array, "time"]) -> tuple[Array, Array]:
        inputs = whole.embed(params, tokens)
        nothing = whole.embed(params, jnp.full_like(tokens, PADDING_ID))
        return inputs, nothing if recipe.padding == "keras" else jnp.zeros_like(inputs)

    @jax.jit
    def gradients(
        tokens: Int[Array, "time"], number: Int[Array, ""], shares: Float[Array, "rows"]
    ) -> tuple[Array, Array]:
        """Returns logit and (x - x') . dF/dx at points between the empty text and the text."""
        inputs, nothing = ends(tokens)
        way = inputs - nothing
        points = nothing[None] + shares[:, None, None].astype(inputs.dtype) * way[None]
        logits, pull_back = jax.vjp(partial(logit, tokens, number), points)
        (gradient,) = pull_back(jnp.ones_like(logits))
        return logits, jnp.sum((gradient * way[None]).astype(jnp.float32), axis=-1)

    @jax.jit
    def occluded(
        tokens: Int[Array, "time"], number: Int[Array, ""], places: Int[Array, "rows"]
    ) -> Float[Array, "rows"]:
        """Returns the logits of texts without the word at one place; a negative place removes none."""
        inputs, nothing = ends(tokens)
        is_gone = jnp.arange(len(tokens))[None, :] == places[:, None]
        return logit(tokens, number, jnp.where(is_gone[..., None], nothing[None], inputs[None]))

    def occlusion(tokens: Int[np.ndarray, "time"], number: int = 1) -> Float[np.ndarray, "time"]:
        words = np.flatnonzero(tokens != PADDING_ID)
        places = np.concatenate([[-1], words, np.full(-(len(words) + 1) % _ROWS, -1)]).astype(np.int32)
        logits = np.concatenate([occluded(tokens, np.int32(number), rows) for rows in places.reshape(-1, _ROWS)])
        effects = np.zeros(len(tokens))
        effects[words] = logits[0] - logits[1 : len(words) + 1]
        return effects

    def integrated_gradients(tokens: Int[np.ndarray, "time"], number: int = 1) -> Attribution:
        return integrate(partial(gradients, tokens, np.int32(number)), tolerance)

    return Explainers(integrated_gradients, occlusion)


def integrate(gradients: Callable[[Float[np.ndarray, "rows"]], tuple[Any, Any]], tolerance: float) -> Attribution:
    """Integrates by the Gauss-Legendre rule, doubling the points until the gap is within the tolerance.

    Args:
        gradients: (shares of the way from x' to x) -> logits and (x - x') . dF/dx [shares, time] there.
        tolerance: as in `make_explainers`.
    """
    (baseline, logit), _ = gradients(np.array([0.0, 1.0], np.float32))
    baseline, logit = float(baseline), float(logit)
    words, gap, num_points = np.zeros(0), np.inf, 0
    for num_points in _POINTS:
        places, weights = np.polynomial.legendre.leggauss(num_points)
        shares = ((places + 1) / 2).astype(np.float32)
        pieces = [gradients(rows)[1] for rows in np.split(shares, max(num_points // _ROWS, 1))]
        words = np.tensordot(weights / 2, np.concatenate(pieces).astype(np.float64), axes=1)
        gap = logit - baseline - float(words.sum())
        if abs(gap) <= tolerance * max(1.0, abs(logit - baseline)):
            break
    return Attribution(words, logit, baseline, gap, num_points)
