"""Measures a run for a report: predictions for a split, gradients back in time, and memory."""

import dataclasses
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from experiments.imdb.pairs import Pairs
from experiments.imdb.report.batch_loss import total_loss
from experiments.imdb.report.gradient_flow import fall, flow_norms, typical_share
from experiments.imdb.report.reviews import Reviews, num_read, unknown_shares
from experiments.imdb.report.statistics import (
    LENGTHS,
    RATES,
    UNKNOWN,
    accuracy_by,
    reliability,
    roc,
    roc_at,
    top_reliability,
)
from experiments.imdb.training.metrics import as_plain, measure
from experiments.imdb.training.model import init_params, make_forward
from experiments.imdb.training.recipes import Recipe
from recurrent.explanation import compiled_bytes
from recurrent.training import make_mesh, make_predict

__all__ = ["answers", "batch_bytes", "flow_reviews", "gradient_reach", "predict_logits"]


def predict_logits(recipe: Recipe, params: Any, reviews: Reviews) -> Float[np.ndarray, "examples *classes"]:
    """Computes the logits of a split; runs that differ only in their seed share one compiled program."""
    compiled = _predict(dataclasses.replace(recipe, seed=0), reviews.vocabulary.pairs)
    return np.asarray(compiled(params, reviews.tokens), np.float64)


@cache
def _predict(recipe: Recipe, pairs: Pairs) -> Callable[[Any, Any], np.ndarray]:
    return make_predict(make_forward(recipe, pairs), make_mesh(recipe.num_shards or 1))


def answers(logits: Float[np.ndarray, "examples *classes"], reviews: Reviews) -> dict[str, Any]:
    """Returns the metrics of `scripts/imdb evaluate`, and the figures behind the pictures."""
    if logits.ndim == 2:
        labels = reviews.labels.astype(np.int64)
        is_right, of_kind = logits.argmax(axis=1) == labels, {}
        reliable = top_reliability(logits, labels)
    else:
        labels = reviews.labels.astype(np.float64)
        is_right, of_kind = (logits > 0) == (labels > 0.5), {"roc": roc_at(roc(logits, labels), RATES)}
        reliable = reliability(logits, labels)
    return {
        "metrics": as_plain(measure(logits, labels)),
        **of_kind,
        "reliability": reliable._asdict(),
        "by_length": accuracy_by(reviews.num_words.astype(np.float64), LENGTHS, is_right)._asdict(),
        "by_unknown": accuracy_by(unknown_shares(reviews.tokens), UNKNOWN, is_right)._asdict(),
    }


def flow_reviews(reviews: Reviews, count: int = 64) -> Any:
    """Chooses the reviews whose gradients are measured: those with most words read, the first of equals."""
    return np.argsort(-num_read(reviews.tokens), kind="stable")[:count]


def gradient_reach(recipe: Recipe, params: Any, reviews: Reviews, examples: Any) -> dict[str, Any]:
    """Measures how gradients fall going back through reviews, as shares of the last hidden state's gradient."""
    compiled = _flow(dataclasses.replace(recipe, seed=0))
    found = compiled(params, jnp.asarray(reviews.tokens[examples]), jnp.asarray(reviews.labels[examples]))
    norms = {name: np.asarray(each, np.float64) for name, each in found.items()}
    last = norms["hidden"][:, 0]
    return {name: fall(typical_share(each, last))._asdict() for name, each in norms.items()}


@cache
def _flow(recipe: Recipe) -> Callable[..., dict[str, jax.Array]]:
    return jax.jit(partial(flow_norms, recipe))


def batch_bytes(recipe: Recipe) -> dict[str, int | None]:
    """Returns the memory of a batch's loss besides weights, reviews and results; it is compiled, not run."""
    forward = make_forward(recipe, Pairs())  # their number changes little
    params = jax.eval_shape(lambda: init_params(recipe))
    dtype = jnp.uint16 if recipe.vocabulary_size <= 1 << 16 else jnp.int32
    tokens = jax.ShapeDtypeStruct((recipe.batch_size, recipe.sequence_length), dtype)
    labels = jax.ShapeDtypeStruct((recipe.batch_size,), jnp.float32)

    def loss(params: Any, tokens: Any, labels: Any) -> Any:
        return total_loss(forward(params, tokens), labels)

    return {
        "forward_bytes": compiled_bytes(loss, params, tokens, labels),
        "gradient_bytes": compiled_bytes(jax.grad(loss), params, tokens, labels),
    }
