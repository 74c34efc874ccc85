"""The loss of a batch of reviews as sums, with noise, adversary, label smoothing and weights of classes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from experiments.imdb.training.adversarial import Embeddings, with_adversary
from experiments.imdb.training.noise import Noise
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.words import count_padding
from recurrent.cells.precision import carry_dtype
from recurrent.shapes import RandomKey
from recurrent.training import Batch, Sums, binary_cross_entropy

__all__ = ["make_objective"]

_WIDTHS = (64, 128, 192, 256, 384, 512, 768, 1024, 1536)


def make_objective(
    forward: Callable[..., Any], recipe: Recipe, class_weights: Float[np.ndarray, "classes"] | None = None
) -> Callable[[Any, Batch, RandomKey], Sums]:
    """Returns the objective, whose metric is `acc`.

    Args:
        forward: of `make_forward`.
        recipe: the recipe.
        class_weights: a factor of the loss of each class; ones by default.
    """

    def objective(params: Any, batch: Batch, key: RandomKey) -> Sums:
        examples: Any = batch.examples  # an Examples
        noise = Noise(key, batch.number) if recipe.has_noise or recipe.adversarial else None

        def sums(tokens: Int[Array, "batch time"], params: Any, direction: Embeddings | None = None) -> Sums:
            logits = forward(params, tokens, noise, direction)
            return _weighted(logits, examples.labels, batch.weight, recipe, class_weights)

        def at_width(tokens: Int[Array, "batch time"]) -> Sums:
            if not recipe.adversarial:
                return sums(tokens, params)
            zero = jnp.zeros((*tokens.shape, recipe.embedding_size), jnp.dtype(recipe.dtype))
            return with_adversary(partial(sums, tokens), params, zero)

        return _at_width(at_width, recipe, examples.tokens)

    return objective


def _weighted(logits: Any, labels: Array, weight: Array, recipe: Recipe, class_weights: Any) -> Sums:
    """Returns the sums, with the loss of each class multiplied by its weight, if there are any."""
    sums = _cross_entropy(logits, labels, weight, recipe)
    if class_weights is None:
        return sums
    factor = jnp.asarray(class_weights, weight.dtype)[labels.astype(jnp.int32)]
    return sums._replace(loss=_cross_entropy(logits, labels, weight * factor, recipe).loss)


def _at_width(sums: Callable[[Any], Sums], recipe: Recipe, tokens: Int[Array, "batch time"]) -> Sums:
    """Computes the sums of a batch of similar lengths at the smallest width that holds its longest review.

    Reviews are padded in front, so the width is cut there. A masked step has no effect, so no answer changes.
    """
    length = tokens.shape[1]
    widths = [width for width in _WIDTHS if width < length] + [length]
    if recipe.batching == "shuffled" or len(widths) == 1:
        return sums(tokens)
    num_words = length - jnp.min(count_padding(tokens))
    branches = [partial(_cut, sums, width) for width in widths]
    index = jnp.searchsorted(jnp.asarray(widths, num_words.dtype), num_words)
    return jax.lax.switch(index, branches, tokens)


def _cut(sums: Callable[[Any], Sums], width: int, tokens: Int[Array, "batch time"]) -> Sums:
    return sums(tokens[:, tokens.shape[1] - width :])


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
