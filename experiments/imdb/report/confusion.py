"""The confusion matrix of a recipe as a table, for any number of classes."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from experiments.imdb.report.formats import Table, make_table
from experiments.imdb.reviews.source import IMDB_CLASSES

__all__ = ["confusion_table"]


def confusion_table(figures: Mapping[str, Any], label: str) -> Table:
    """Lists a recipe's confusion matrix: mean counts over seeds, and shares of the reviews of an actual label."""
    classes = figures.get("classes", IMDB_CLASSES)
    counts = [_matrix(figures["runs"][name]["metrics"]["confusion"]) for name in figures["groups"][label]["runs"]]
    rows = []
    for number, actual in enumerate(classes):
        means = [mean(each[number][predicted] for each in counts) for predicted in range(len(classes))]
        whole = sum(means)
        cells = [f"{value:,.0f} ({value / whole:.1%})" if whole else "0" for value in means]
        rows.append([f"actual {actual}", *cells])
    caption = f"{label}: " + (f"mean of {len(counts)} seeds" if len(counts) > 1 else "one seed")
    return make_table(caption, ["", *(f"predicted {name}" for name in classes)], rows)


def _matrix(confusion: Mapping[str, int] | Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    """Returns counts [actual][predicted]; those of two classes have names."""
    if not isinstance(confusion, Mapping):
        return confusion
    negative, positive = ("true_negative", "false_positive"), ("false_negative", "true_positive")
    return [[confusion[name] for name in names] for names in (negative, positive)]
