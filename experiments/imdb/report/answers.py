"""What runs answered, as charts: ROC, reliability, and accuracy by what a review is like."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.imdb.report.measure import RATES
from experiments.imdb.report.series import Chart, band, colour, of_each, points, spans_seeds
from experiments.imdb.training.metrics import wilson

__all__ = ["by_bin", "probabilities", "reliability", "roc"]


def roc(figures: Mapping[str, Any]) -> Chart:
    """Draws the ROC: the mean of the true positive rates of all seeds at the same false positive rate."""
    series = []
    for group in figures["groups"]:
        rates = np.array(of_each(figures, group, "roc"))
        areas = [metrics["auc"] for metrics in of_each(figures, group, "metrics")]
        series.append(
            {
                "name": f"{group}, AUC {np.mean(areas):.4f}",
                "colour": colour(figures, group),
                "points": points(RATES, rates.mean(axis=0)),
                "band": band(RATES, rates),
            }
        )
    return Chart(
        "line",
        {
            "title": "ROC",
            "xLabel": "false positive rate",
            "yLabel": "true positive rate",
            "xRange": [0, 1],
            "yRange": [0, 1],
            "diagonal": "chance",
            **spans_seeds(figures),
            "series": series,
        },
    )


def reliability(figures: Mapping[str, Any]) -> Chart:
    """Draws the share of positives against the probability stated, the answers of all seeds taken together."""
    series = []
    for group in figures["groups"]:
        bins = of_each(figures, group, "reliability")
        counts = np.array([each["count"] for each in bins], np.float64)
        whole = np.where(counts.sum(axis=0) > 0, counts.sum(axis=0), np.nan)
        x, y = (
            np.nansum([np.array(each[field], np.float64) * each["count"] for each in bins], axis=0) / whole
            for field in ("probability", "share")
        )
        error = np.mean([metrics["calibration_error"] for metrics in of_each(figures, group, "metrics")])
        there = [point for point in points(x, y) if point[0] == point[0]]
        name = f"{group}, error {error:.4f}"
        series.append({"name": name, "colour": colour(figures, group), "points": there, "dots": True})
    return Chart(
        "line",
        {
            "title": "Reliability",
            "xLabel": "probability of positive that the model states",
            "yLabel": "share that is positive",
            "xRange": [0, 1],
            "yRange": [0, 1],
            "diagonal": "perfectly calibrated",
            "series": series,
        },
    )


def probabilities(figures: Mapping[str, Any]) -> Chart:
    """Draws how many answers fall into each bin of the reliability diagram, the mean over seeds."""
    series = []
    for group in figures["groups"]:
        counts = np.array([each["count"] for each in of_each(figures, group, "reliability")])
        series.append({"name": group, "colour": colour(figures, group), "values": counts.mean(axis=0).tolist()})
    bins = len(series[0]["values"])
    options = {
        "title": "How often it states which probability",
        "xLabel": "probability of positive, from … %",
        "yLabel": "reviews",
        "groups": [f"{100 * each / bins:.0f}" for each in range(bins)],
        "series": series,
    }
    return Chart("bars", options)


def by_bin(figures: Mapping[str, Any], field: str, title: str, label: str, names: Sequence[str]) -> Chart:
    """Draws mean accuracy by bin of a field, with the interval that one run with this accuracy would have."""
    series, all_counts = [], []
    counts: list[int] = []
    for group in figures["groups"]:
        bins = of_each(figures, group, field)
        counts = np.asarray(bins[0]["count"]).tolist()  # the seeds of a recipe read the same reviews
        all_counts.append(counts)
        means = np.mean(np.array([each["accuracy"] for each in bins], np.float64), axis=0)
        # The interval of one run with this accuracy: seeds answer the same reviews, so they are no more reviews.
        ends = [
            wilson(mean * count, count) if count else (None, None) for mean, count in zip(means, counts, strict=True)
        ]
        low, high = zip(*ends, strict=True)
        values = [float(mean) if mean == mean else None for mean in means]
        series.append({"name": group, "colour": colour(figures, group), "values": values, "low": low, "high": high})
    least = min((low for each in series for low in each["low"] if low is not None), default=0.5)
    options = {
        "title": title,
        "xLabel": label,
        "yLabel": "accuracy",
        "yRange": [min(0.5, np.floor(least * 10) / 10), 1],
        "whiskerLabel": "95 % interval of one run (Wilson)",
        "groups": list(names),
        "counts": counts if all(each == counts for each in all_counts) else [],
        "series": series,
    }
    return Chart("bars", options)
