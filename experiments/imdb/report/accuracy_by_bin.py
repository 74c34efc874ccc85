"""Accuracy by a property of the review, such as its length, as a chart of dots with intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.imdb.report.chart import Chart, Series, looks_of, of_each, points, spans
from experiments.imdb.training.metrics import wilson

__all__ = ["accuracy_by_bin"]

_WIDTH = 0.6  # of a bin, over which the dots of recipes are spread


def accuracy_by_bin(figures: Mapping[str, Any], field: str, title: str, label: str, names: Sequence[str]) -> Chart:
    """Shows mean accuracy by bin, with the interval of one run that has this accuracy.

    The interval is not that of all seeds together: they answer the same reviews, so they are no larger sample.

    Args:
        field: of each run's figures, such as "by_length".
        title: of the chart.
        label: of the property.
        names: of the bins.
    """
    series, counts = [], []
    look = looks_of(figures)
    for place, group in enumerate(look):
        bins = of_each(figures, group, field)
        counts.append(np.asarray(bins[0]["count"]).tolist())  # the seeds of a recipe read the same reviews
        means = np.mean(np.array([each["accuracy"] for each in bins], np.float64), axis=0)
        ends = [_interval(mean, count) for mean, count in zip(means, counts[-1], strict=True)]
        at = np.arange(len(means)) + _WIDTH * ((place + 0.5) / len(look) - 0.5)
        whiskers = spans(at, *zip(*ends, strict=True))
        series.append(Series(group, look[group], points(at, means), line="", whiskers=whiskers))
    return Chart(
        title,
        label,
        "accuracy",
        series,
        x_names=names,
        counts=counts[0] if all(each == counts[0] for each in counts) else [],
        whisker_label="95 % interval of one run (Wilson)",
    )


def _interval(mean: float, count: int) -> tuple[float, float]:
    return wilson(round(mean * count), count) if count else (math.nan, math.nan)
