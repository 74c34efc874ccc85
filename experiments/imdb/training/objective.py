"""The loss of a batch of reviews as sums, with the recipe's noise, label smoothing and weights of classes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

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
        noise = Noise(key, batch.number) if recipe.has_noise else None
        logits = _at_width(partial(forward, params, noise=noise), recipe, examples.tokens)
        sums = _cross_entropy(logits, examples.labels, batch.weight, recipe)
        if class_weights is None:
            return sums
        factor = jnp.asarray(class_weights, batch.weight.dtype)[examples.labels.astype(jnp.int32)]
        return sums._replace(loss=_cross_entropy(logits, examples.labels, batch.weight * factor, recipe).loss)

    return objective


def _at_width(forward: Callable[[Any], Any], recipe: Recipe, tokens: Int[Array, "batch time"]) -> Any:
    """Computes a batch of similar lengths at the smallest width that holds its longest review.

    Reviews are padded in front, so the width is cut there. A masked step has no effect, so no answer changes.
    """
    length = tokens.shape[1]
    widths = [width for width in _WIDTHS if width < length] + [length]
    if recipe.batching == "shuffled" or len(widths) == 1:
        return forward(tokens)
    num_words = length - jnp.min(count_padding(tokens))
    branches = [partial(_cut_forward, forward, width) for width in widths]
    index = jnp.searchsorted(jnp.asarray(widths, num_words.dtype), num_words)
    return jax.lax.switch(index, branches, tokens)


def _cut_forward(forward: Callable[[Any], Any], width: int, tokens: Int[Array, "batch time"]) -> Any:
    return forward(tokens[:, tokens.shape[1] - width :])


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
