"""Log-odds of one class, which explanations and the live page show for any number of classes.

    log-odds(k) = z_k - log(sum over the other classes of exp(z_j)),      P(k) = sigmoid(log-odds(k))

z are a model's logits. A model of two classes has a single logit, which is the log-odds of the second one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from experiments.imdb.training.metrics import sigmoid
from recurrent.cells.precision import carry_dtype

__all__ = [
    "by_class",
    "class_number",
    "likeliest",
    "log_odds",
    "predicted",
    "probabilities",
    "shown_class",
    "traced_log_odds",
]

Logits = Any  # [...] with two classes, [..., classes] with more


def log_odds(logits: Logits, number: int, num_classes: int) -> Float[np.ndarray, "..."]:
    """Returns the log-odds of a class in NumPy float64.

    >>> float(log_odds(np.log([0.2, 0.5, 0.3]), 1, num_classes=3).round(6)), float(log_odds(np.array(1.5), 0, 2))
    (0.0, -1.5)
    """
    wide = np.asarray(logits, np.float64)
    if num_classes == 2:
        return wide if number == 1 else -wide
    others = np.delete(wide, number, axis=-1)
    largest = others.max(axis=-1)
    return wide[..., number] - largest - np.log(np.exp(others - largest[..., None]).sum(axis=-1))


def traced_log_odds(logits: Float[Array, "..."], number: Int[Array, ""], num_classes: int) -> Float[Array, "..."]:
    """Returns the log-odds of a class whose number is traced, so that one program serves all classes."""
    if num_classes == 2:
        return logits * jnp.where(number == 1, 1, -1).astype(logits.dtype)
    wide = logits.astype(carry_dtype(logits.dtype))
    is_own = jax.lax.broadcasted_iota(jnp.int32, wide.shape, wide.ndim - 1) == number
    own = jnp.sum(jnp.where(is_own, wide, 0), axis=-1)
    return own - jax.nn.logsumexp(jnp.where(is_own, -jnp.inf, wide), axis=-1)


def probabilities(logits: Logits, num_classes: int) -> Float[np.ndarray, "... classes"]:
    """Returns the probability of each class.

    >>> probabilities(np.zeros(3), 3).round(3).tolist(), probabilities(np.array(0.0), 2).tolist()
    ([0.333, 0.333, 0.333], [0.5, 0.5])
    """
    return np.stack([sigmoid(log_odds(logits, number, num_classes)) for number in range(num_classes)], axis=-1)


def predicted(logits: Logits, num_classes: int) -> int:
    """Returns the number of the likeliest class of one text, the first of equals."""
    return int(np.argmax(logits)) if num_classes > 2 else int(logits > 0)


def by_class(logits: Logits, classes: Sequence[str]) -> dict[str, float] | None:
    """Returns the probability of each class of one text by its name; None for two classes, of which one tells both.

    >>> by_class(np.log([0.5, 0.3, 0.2]), ("a", "b", "c")), by_class(np.array(0.0), ("a", "b"))
    ({'a': 0.5, 'b': 0.3, 'c': 0.2}, None)
    """
    if len(classes) == 2:
        return None
    return dict(zip(classes, probabilities(logits, len(classes)).tolist(), strict=True))


def shown_class(classes: Sequence[str], of_class: str | None, answer: int) -> int:
    """Returns the number of the class to show: the named one, or the second of two, or the predicted one of more.

    Raises:
        ValueError: the run has no such class.
    """
    if of_class is not None:
        return class_number(classes, of_class)
    return 1 if len(classes) == 2 else answer


def class_number(classes: Sequence[str], name: str) -> int:
    """Returns the number of a class.

    Raises:
        ValueError: the run has no such class; names those that it has.
    """
    if name not in classes:
        more = ", ..." if len(classes) > 20 else ""
        raise ValueError(f"There is no class {name!r}: the run has {', '.join(classes[:20])}{more}.")
    return list(classes).index(name)


def likeliest(of_classes: Mapping[str, float], count: int = 10) -> list[tuple[str, float]]:
    """Returns the likeliest classes with their probabilities, the likeliest one first.

    >>> likeliest({"a": 0.1, "b": 0.7, "c": 0.2}, count=2)
    [('b', 0.7), ('c', 0.2)]
    """
    return sorted(of_classes.items(), key=lambda each: -each[1])[:count]
