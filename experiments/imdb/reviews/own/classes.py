"""The classes of own data: their names, in order, and weights for them."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from experiments.imdb.reviews.own.row import shown

__all__ = ["MAX_CLASSES", "class_weights", "in_order"]

MAX_CLASSES = 1000


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Returns classes in the order of their ids: numbers by value if all are numbers, else strings sorted.

    >>> in_order(["10", "9"]), in_order(["pos", "neg"])
    (('9', '10'), ('neg', 'pos'))
    """
    values = {name: _number(name) for name in names}
    if all(math.isfinite(value) for value in values.values()):
        return tuple(sorted(names, key=lambda name: (values[name], name)))
    return tuple(sorted(names))


def _number(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return math.nan


def class_weights(
    labels: Shaped[np.ndarray, "examples"],
    classes: Sequence[str],
    weights: Literal["balanced"] | Mapping[str, float] | None = "balanced",
) -> Float[np.ndarray, "classes"]:
    """Returns the weight of each class in the loss: that of example i is weights[labels[i]].

    Args:
        labels: of the training examples, as ids of classes.
        classes: the names, in the order of ids.
        weights: None weighs all by 1. "balanced" weighs class c by n / (k * n_c) for n examples, k classes and n_c
            examples of class c, so the mean over examples is 1 (King & Zeng 2001; as in scikit-learn). A mapping gives
            the weight of each class by name.

    Raises:
        ValueError: a class has no example or no weight, or a weight is not positive and finite.

    >>> class_weights(np.array([0, 1, 1, 1]), ["neg", "pos"]).round(3).tolist()
    [2.0, 0.667]
    """
    if weights is None:
        return np.ones(len(classes), np.float32)
    if isinstance(weights, Mapping):
        if set(weights) != set(classes):
            given, there = (", ".join(map(shown, sorted(names))) for names in (weights, classes))
            raise ValueError(f"Class weights are given for {given}, but the classes are {there}. Give one for each.")
        found = np.array([weights[name] for name in classes], np.float32)
    elif weights == "balanced":
        counts = np.bincount(np.asarray(labels).astype(np.int64), minlength=len(classes))
        if not counts.all():
            raise ValueError(f"Class {shown(classes[int(counts.argmin())])} has no example, so it has no weight.")
        found = (len(labels) / (len(classes) * counts)).astype(np.float32)
    else:
        raise ValueError(f"Class weights must be 'balanced', a mapping or None, not {shown(weights)}.")
    for name, weight in zip(classes, found.tolist(), strict=True):
        if not 0 < weight < math.inf:
            raise ValueError(f"The weight of class {shown(name)} must be positive and finite, not {weight}.")
    return found
