"""The loss of a batch of reviews as sums, with noise, adversary, label smoothing and weights of classes."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Shaped

from experiments.imdb.training.adversarial import with_adversary
from experiments.imdb.training.given_gradient import sums_and_gradient, with_gradient
from experiments.imdb.training.noise import Noise
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.words import count_padding
from recurrent.cells.precision import carry_dtype
from recurrent.shapes import RandomKey
from recurrent.training import Batch, Sums, binary_cross_entropy

__all__ = ["make_objective"]

_WIDTHS = (64, 128, 192, 256, 384, 512, 768, 1024, 1536)


class _Reviews(NamedTuple):
    """The reviews of a batch, and what the noise on them is drawn from."""

    tokens: Int[Array, "batch time"]
    labels: Shaped[Array, "batch"]
    weight: Float[Array, "batch"]
    noise: Noise | None


def make_objective(
    forward: Callable[..., Any], recipe: Recipe, class_weights: Float[np.ndarray, "classes"] | None = None
) -> Callable[[Any, Batch, RandomKey], Sums]:
    """Returns the objective, whose metric is `acc`.

    Args:
        forward: of `make_forward`.
        recipe: the recipe.
        class_weights: a factor of the loss of each class; ones by default.
    """

    def sums(reviews: _Reviews, tokens: Int[Array, "batch time"], params: Any, direction: Any = None) -> Sums:
        logits = forward(params, tokens, reviews.noise, direction)
        return _weighted(logits, reviews.labels, reviews.weight, recipe, class_weights)

    def against_adversary(reviews: _Reviews, tokens: Int[Array, "batch time"], params: Any) -> tuple[Sums, Any]:
        zero = jnp.zeros((*tokens.shape, recipe.embedding_size), jnp.dtype(recipe.dtype))
        return with_adversary(partial(sums, reviews, tokens), zero, params)

    def alone(reviews: _Reviews, tokens: Int[Array, "batch time"], params: Any) -> tuple[Sums, Any]:
        return sums_and_gradient(partial(sums, reviews, tokens), params)

    def differentiate(params: Any, reviews: _Reviews) -> tuple[Sums, Any]:
        compute = against_adversary if recipe.adversarial else alone
        return _at_width(partial(compute, reviews), recipe, reviews.tokens, params)

    def objective(params: Any, batch: Batch, key: RandomKey) -> Sums:
        examples: Any = batch.examples  # an Examples
        is_changed = recipe.has_noise or recipe.adversarial or recipe.leave_one_out
        noise = Noise(key, batch.number, examples.labels) if is_changed else None
        reviews = _Reviews(examples.tokens, examples.labels, batch.weight, noise)
        if recipe.adversarial or recipe.batching == "by_length":
            return with_gradient(differentiate, params, reviews)
        return sums(reviews, reviews.tokens, params)

    return objective


def _weighted(logits: Any, labels: Array, weight: Array, recipe: Recipe, class_weights: Any) -> Sums:
    """Returns the sums, with the loss of each class multiplied by its weight, if there are any."""
    sums = _cross_entropy(logits, labels, weight, recipe)
    if class_weights is None:
        return sums
    factor = jnp.asarray(class_weights, weight.dtype)[labels.astype(jnp.int32)]
    return sums._replace(loss=_cross_entropy(logits, labels, weight * factor, recipe).loss)


def _at_width(compute: Callable[..., Any], recipe: Recipe, tokens: Int[Array, "batch time"], params: Any) -> Any:
    """Computes a batch of similar lengths at the smallest width that holds its longest review.

    Reviews are padded in front, so the width is cut there. A masked step has no effect, so no answer changes.

    Args:
        compute: (tokens, params) -> the result.
        recipe: the recipe.
        tokens: of the batch.
        params: of the model.
    """
    length = tokens.shape[1]
    widths = [width for width in _WIDTHS if width < length] + [length]
    if recipe.batching == "shuffled" or len(widths) == 1:
        return compute(tokens, params)
    num_words = length - jnp.min(count_padding(tokens))
    branches = [partial(_cut, compute, width) for width in widths]
    index = jnp.searchsorted(jnp.asarray(widths, num_words.dtype), num_words)
    return jax.lax.switch(index, branches, tokens, params)


def _cut(compute: Callable[..., Any], width: int, tokens: Int[Array, "batch time"], params: Any) -> Any:
    return compute(tokens[:, tokens.shape[1] - width :], params)


def _cross_entropy(logits: Any, labels: Array, weight: Float[Array, "batch"], recipe: Recipe) -> Sums:
    """Returns the sums; with two classes, of one logit for each review."""
    smoothing = recipe.label_smoothing
    if recipe.num_classes == 2:
        smoothed = labels * (1 - smoothing) + smoothing / 2 if smoothing else labels
        return binary_cross_entropy(logits, smoothed, weight)
    dtype, is_counted = carry_dtype(logits.dtype), weight != 0
    logits = jnp.where(is_counted[:, None], logits.astype(dtype), 0)
    wanted = jax.nn.one_hot(labels.astype(jnp.int32), recipe.num_classes, dtype=dtype)
    loss = optax.softmax_cross_entropy(logits, wanted * (1 - smoothing) + smoothing / recipe.num_classes)
    is_correct = jnp.argmax(logits, axis=1) == labels.astype(jnp.int32)
    weight = weight.astype(dtype)
    return Sums(jnp.sum(loss * weight), jnp.sum(is_correct.astype(dtype) * weight), jnp.sum(weight))
