"""How well runs rank reviews and how well they are calibrated, as charts: ROC, reliability, predicted probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.imdb.report.chart import Chart, Series, looks_of, of_each, points, seeds_in_words, spans
from experiments.imdb.report.statistics import RATES
from experiments.imdb.report.tables import is_binary

__all__ = ["probability_chart", "reliability_chart", "roc_chart"]


def roc_chart(figures: Mapping[str, Any]) -> Chart:
    """Shows the ROC: the mean over seeds of the true positive rate at the same false positive rate."""
    series = []
    for label, look in looks_of(figures).items():
        rates = np.array(of_each(figures, label, "roc"), np.float64)
        area = np.mean([metrics["auc"] for metrics in of_each(figures, label, "metrics")])
        band = spans(RATES, rates.min(axis=0), rates.max(axis=0)) if len(rates) > 1 else []
        series.append(Series(f"{label}, AUC {area:.4f}", look, points(RATES, rates.mean(axis=0)), band=band))
    return Chart(
        "ROC",
        "false positive rate",
        "true positive rate",
        series,
        x_range=(0, 1),
        y_range=(0, 1),
        diagonal="chance",
        band_label=seeds_in_words([len(group["runs"]) for group in figures["groups"].values()]),
    )


def reliability_chart(figures: Mapping[str, Any]) -> Chart:
    """Shows the share of positive reviews against the predicted probability, the answers of all seeds together.

    With more than two classes, it is the accuracy against the probability of the predicted class.
    """
    series = []
    for label, look in looks_of(figures).items():
        x, y = _pooled(of_each(figures, label, "reliability"))
        error = np.mean([metrics["calibration_error"] for metrics in of_each(figures, label, "metrics")])
        there = [point for point in points(x, y) if point[0] == point[0]]
        series.append(Series(f"{label}, calibration error {error:.4f}", look, there))
    return Chart(
        "Reliability",
        f"predicted probability of {_which(figures)}",
        "share of positive reviews" if is_binary(figures) else "accuracy",
        series,
        x_range=(0, 1),
        y_range=(0, 1),
        diagonal="perfectly calibrated",
    )


def _which(figures: Mapping[str, Any]) -> str:
    return "positive" if is_binary(figures) else "the predicted class"


def _pooled(bins: list[Mapping[str, Any]]) -> list[Any]:
    """Returns mean probability and share of positives by bin, over the answers of all seeds; NaN for an empty bin."""
    counts = np.array([each["count"] for each in bins], np.float64)
    whole = np.where(counts.sum(axis=0) > 0, counts.sum(axis=0), np.nan)
    return [
        np.nansum([np.array(each[field], np.float64) * each["count"] for each in bins], axis=0) / whole
        for field in ("probability", "share")
    ]


def probability_chart(figures: Mapping[str, Any]) -> Chart:
    """Shows how many answers fall into each bin of the reliability diagram, the mean over seeds."""
    series = []
    for label, look in looks_of(figures).items():
        counts = np.array([each["count"] for each in of_each(figures, label, "reliability")], np.float64)
        middles = (np.arange(counts.shape[1]) + 0.5) / counts.shape[1]
        series.append(Series(label, look, points(middles, counts.mean(axis=0))))
    return Chart(
        "How often each probability is predicted",
        f"predicted probability of {_which(figures)}, middle of the bin",
        "reviews in the bin",
        series,
        x_range=(0, 1),
        y_range=(0, None),
    )
