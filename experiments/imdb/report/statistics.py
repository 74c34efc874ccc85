"""Statistics of a report in NumPy float64: intervals, ROC, reliability, accuracy by bin."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import stdtrit  # SciPy comes with JAX

from experiments.imdb.training.class_metrics import log_softmax
from experiments.imdb.training.metrics import sigmoid, wilson

__all__ = [
    "LENGTHS",
    "RATES",
    "UNKNOWN",
    "BinnedAccuracy",
    "Difference",
    "Reliability",
    "Roc",
    "Spread",
    "accuracy_by",
    "difference",
    "reliability",
    "roc",
    "roc_at",
    "seeds_text",
    "spread",
    "spread_of_seeds",
    "top_reliability",
]

LENGTHS = (100, 200, 300, 400, 500)
"""Edges of the bins of lengths, in words."""
UNKNOWN = (0.02, 0.04, 0.06, 0.08, 0.1)
"""Edges of the bins of the share of unknown words."""
RATES = np.linspace(0, 1, 101)
"""False positive rates at which ROC curves are averaged over seeds."""

Logits = Float[np.ndarray, "examples"]
Labels = Float[np.ndarray, "examples"]


class Spread(NamedTuple):
    """Mean, standard deviation and interval over seeds."""

    mean: float  # NaN if no seed has a finite accuracy, as the interval then
    deviation: float | None  # the standard deviation over seeds; None for one
    low: float  # 95 % interval
    high: float
    kind: Literal["t", "wilson"]
    num_left_out: int = 0  # seeds whose accuracy is not finite


def spread(accuracies: Sequence[float], num_reviews: int) -> Spread:
    """Returns mean, standard deviation and 95 % interval of the accuracies of one or more seeds.

    With two or more seeds it is the interval of their mean by Student's t, limited to 0 and 1. With one seed it is
    Wilson's interval of its accuracy over reviews. Accuracies that are not finite are left out and counted.
    """
    given = np.asarray(accuracies, np.float64)
    values = given[np.isfinite(given)]
    left_out = len(given) - len(values)
    if not len(values):
        return Spread(math.nan, None, math.nan, math.nan, "wilson", left_out)
    mean = float(values.mean())
    if len(values) == 1:
        return Spread(mean, None, *wilson(round(mean * num_reviews), num_reviews), "wilson", left_out)
    deviation = float(values.std(ddof=1))
    half = float(stdtrit(len(values) - 1, 0.975)) * deviation / math.sqrt(len(values))
    return Spread(mean, deviation, max(mean - half, 0.0), min(mean + half, 1.0), "t", left_out)


def spread_of_seeds(accuracies: Sequence[float]) -> Spread:
    """Returns mean, standard deviation and interval over seeds; the interval of one seed means nothing."""
    return spread(accuracies, num_reviews=1)


def seeds_text(accuracies: Sequence[float]) -> str:
    """Formats mean ± standard deviation over seeds.

    >>> seeds_text([0.875]), seeds_text([0.75, 1.0])
    ('0.8750', '0.8750 ± 0.1768')
    """
    found = spread_of_seeds(accuracies)
    return f"{found.mean:.4f}" if found.deviation is None else f"{found.mean:.4f} ± {found.deviation:.4f}"


class Difference(NamedTuple):
    """The difference of two means."""

    mean: float
    low: float | None  # 95 % interval; None where one of the means is of one seed
    high: float | None


def difference(one: Spread, other: Spread, num_one: int, num_other: int) -> Difference:
    """Returns the difference of the means of two groups of seeds with its 95 % interval (Welch 1947).

    Args:
        one: the first group.
        other: what is subtracted.
        num_one: seeds of the first group.
        num_other: seeds of the other one.
    """
    mean = one.mean - other.mean
    if one.deviation is None or other.deviation is None:
        return Difference(mean, None, None)
    first, second = one.deviation**2 / num_one, other.deviation**2 / num_other
    error = first + second
    if not error:
        return Difference(mean, mean, mean)
    freedom = error**2 / (first**2 / (num_one - 1) + second**2 / (num_other - 1))
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(error)
    return Difference(mean, mean - half, mean + half)


class Roc(NamedTuple):
    """The receiver operating characteristic: a point for each threshold, from no positive prediction to all."""

    false_positive_rate: Float[np.ndarray, "thresholds"]
    true_positive_rate: Float[np.ndarray, "thresholds"]


def roc(logits: Logits, labels: Labels) -> Roc:
    """Returns the curve. Equal logits are one threshold; rates of a label that does not occur are NaN."""
    order = np.argsort(-logits, kind="stable")
    is_last_of_equals = np.append(np.diff(logits[order]) != 0, True)
    is_positive = (labels[order] > 0.5).astype(np.float64)
    rates = []
    for kind in (1 - is_positive, is_positive):
        counts = np.concatenate([[0.0], np.cumsum(kind)[is_last_of_equals]])
        rates.append(counts / counts[-1] if counts[-1] else np.full_like(counts, np.nan))
    return Roc(*rates)


def roc_at(curve: Roc, rates: Float[np.ndarray, "rates"]) -> Float[np.ndarray, "rates"]:
    """Returns true positive rates at given false positive rates, by linear interpolation."""
    return np.interp(rates, *curve)


class Reliability(NamedTuple):
    """Mean probability, share of positives (or of right answers) and number of examples in each bin of probability."""

    probability: Float[np.ndarray, "bins"]  # NaN in an empty bin, as the share
    share: Float[np.ndarray, "bins"]
    count: Int[np.ndarray, "bins"]


def reliability(logits: Logits, labels: Labels, bins: int = 15) -> Reliability:
    """Bins the probability of the second of two classes as `metrics.calibration_error` does."""
    return _reliability(sigmoid(logits), labels, bins)


def top_reliability(
    logits: Float[np.ndarray, "examples classes"], labels: Int[np.ndarray, "examples"], bins: int = 15
) -> Reliability:
    """Bins the probability of the predicted class as `class_metrics.calibration_error` does; the share is accuracy."""
    is_right = (logits.argmax(axis=1) == labels).astype(np.float64)
    return _reliability(np.exp(log_softmax(logits)).max(axis=1), is_right, bins)


def _reliability(probability: Logits, labels: Labels, bins: int) -> Reliability:
    bin_of = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    whole = np.where(count > 0, count, np.nan)
    sums = [np.bincount(bin_of, weights=weights, minlength=bins) for weights in (probability, labels)]
    return Reliability(sums[0] / whole, sums[1] / whole, count)


class BinnedAccuracy(NamedTuple):
    """Accuracy by bin of a property."""

    accuracy: Float[np.ndarray, "bins"]  # NaN in an empty bin
    count: Int[np.ndarray, "bins"]


def accuracy_by(
    values: Float[np.ndarray, "examples"], edges: Sequence[float], is_right: Bool[np.ndarray, "examples"]
) -> BinnedAccuracy:
    """Returns the accuracy by bin: below the first edge, from each edge to the next, and from the last edge on."""
    bin_of = np.searchsorted(np.asarray(edges), values, side="right")
    count = np.bincount(bin_of, minlength=len(edges) + 1)
    right = np.bincount(bin_of, weights=is_right.astype(np.float64), minlength=len(edges) + 1)
    return BinnedAccuracy(right / np.where(count > 0, count, np.nan), count)
