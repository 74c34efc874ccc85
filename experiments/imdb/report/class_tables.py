"""How well each class is found, and which classes are confused, as tables for more than two classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.imdb.report.formats import Table, make_table

__all__ = ["MOST_COLUMNS", "class_table", "pairs_table"]

MOST_COLUMNS = 12
"""Of more classes, the confusion matrix is shown as the pairs that are confused most often."""
_MOST_PAIRS = 30


def class_table(figures: Mapping[str, Any], label: str) -> Table:
    """Lists precision, recall and F1 of each class, from the counts of all seeds of a recipe together."""
    counts, seeds = _counts(figures, label)
    right, actual, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    rows = [
        [
            name,
            f"{actual[number] / seeds:,.0f}",
            _share(right[number], predicted[number]),
            _share(right[number], actual[number]),
            _share(2 * right[number], actual[number] + predicted[number]),
        ]
        for number, name in enumerate(figures["classes"])
    ]
    return make_table(f"{label}: each class", ["class", "reviews", "precision", "recall", "F1"], rows)


def pairs_table(figures: Mapping[str, Any], label: str) -> Table:
    """Lists the pairs of classes that a recipe confuses most often: mean counts over seeds."""
    counts, seeds = _counts(figures, label)
    names = figures["classes"]
    wrong = np.where(np.eye(len(names), dtype=bool), 0, counts)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [(actual, predicted) for actual, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True)]
    rows = [
        [names[actual], names[predicted], f"{wrong[actual, predicted] / seeds:,.1f}"]
        for actual, predicted in pairs
        if wrong[actual, predicted]
    ]
    return make_table(f"{label}: most frequent confusions", ["actual", "predicted", "reviews"], rows)


def _counts(figures: Mapping[str, Any], label: str) -> tuple[Float[np.ndarray, "classes classes"], int]:
    """Returns the counts [actual][predicted] of all seeds together, and the number of seeds."""
    names = figures["groups"][label]["runs"]
    counts = [np.array(figures["runs"][name]["metrics"]["confusion"], np.float64) for name in names]
    return np.sum(counts, axis=0), len(names)


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.4f}" if whole else ""
