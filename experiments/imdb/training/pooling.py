"""One vector for a review from the outputs at its words."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["num_features", "pool"]

Outputs = Float[Array, "batch time output"]


def num_features(pooling: str, output_size: int) -> int:
    """Returns the size of the vector."""
    return 2 * output_size if pooling == "mean_max" else output_size


def pool(
    pooling: str,
    outputs: Outputs,
    is_word: Bool[Array, "batch time"],
    score: Callable[[Outputs], Float[Array, "batch time"]],
) -> Float[Array, "batch features"]:
    """Pools the outputs at the words; an empty review has zeros.

    Args:
        pooling: mean, max, mean_max or attention.
        outputs: of the recurrent layers.
        is_word: where the words are.
        score: attention's score of each step.
    """
    if pooling == "attention":
        weights = _softmax(score(outputs), is_word)
        return jnp.einsum("bt,btf->bf", weights, jnp.where(is_word[..., None], outputs, 0))
    parts = []
    if pooling in ("mean", "mean_max"):
        count = jnp.maximum(jnp.sum(is_word, axis=1), 1).astype(outputs.dtype)
        parts.append(jnp.sum(jnp.where(is_word[..., None], outputs, 0), axis=1) / count[:, None])
    if pooling in ("max", "mean_max"):
        lowest = jnp.asarray(jnp.finfo(outputs.dtype).min, outputs.dtype)
        highest = jnp.max(jnp.where(is_word[..., None], outputs, lowest), axis=1)
        parts.append(jnp.where(jnp.any(is_word, axis=1)[:, None], highest, 0))
    return jnp.concatenate(parts, axis=-1)


def _softmax(scores: Float[Array, "batch time"], is_word: Bool[Array, "batch time"]) -> Float[Array, "batch time"]:
    """Returns weights that sum to 1 over the words, or are all zero where there is none."""
    lowest = jnp.asarray(jnp.finfo(scores.dtype).min, scores.dtype)
    weights = jax.nn.softmax(jnp.where(is_word, scores, lowest), axis=1)
    return jnp.where(is_word, weights, 0)
