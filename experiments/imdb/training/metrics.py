"""Metrics of a classifier from its logits, in NumPy float64: the same bits on any device.

`cross_entropy` is the validation loss of the records. The loss of training, `recurrent.training.binary_cross_entropy`,
is a float32 sum on the device, and its bits depend on the device.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from experiments.imdb.training.class_metrics import ClassMetrics

__all__ = [
    "Confusion",
    "Metrics",
    "accuracy",
    "as_plain",
    "auc",
    "calibration_error",
    "cross_entropy",
    "losses",
    "measure",
    "rank_correlation",
    "sigmoid",
    "wilson",
]

Logits = Float[np.ndarray, "examples"]
Labels = Float[np.ndarray, "examples"]


class Confusion(NamedTuple):
    """Counts by true label and answer."""

    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int


class Metrics(NamedTuple):
    """The metrics that `scripts/imdb evaluate` reports."""

    examples: int
    loss: float
    accuracy: float
    accuracy_low: float  # 95 % interval
    accuracy_high: float
    auc: float
    calibration_error: float
    confusion: Confusion


def measure(logits: Any, labels: Any) -> "Metrics | ClassMetrics":
    """Computes all metrics: those of two classes from logits [examples], of more from logits [examples, classes].

    Raises:
        ValueError: there are no examples, or the shapes do not fit.
    """
    if logits.ndim == 2 and logits.shape[1] > 1:
        from experiments.imdb.training.class_metrics import measure as measure_classes  # it imports this module

        return measure_classes(logits, labels)
    if logits.shape != labels.shape or logits.ndim != 1 or not logits.size:
        raise ValueError(f"Metrics need logits and labels of one shape [examples], not {logits.shape}, {labels.shape}.")
    is_positive, says_positive = labels > 0.5, logits > 0
    low, high = wilson(int(np.sum(is_positive == says_positive)), len(labels))
    confusion = Confusion(
        true_negative=int(np.sum(~is_positive & ~says_positive)),
        false_positive=int(np.sum(~is_positive & says_positive)),
        false_negative=int(np.sum(is_positive & ~says_positive)),
        true_positive=int(np.sum(is_positive & says_positive)),
    )
    return Metrics(
        examples=len(labels),
        loss=cross_entropy(logits, labels),
        accuracy=accuracy(logits, labels),
        accuracy_low=low,
        accuracy_high=high,
        auc=auc(logits, labels),
        calibration_error=calibration_error(logits, labels),
        confusion=confusion,
    )


def as_plain(metrics: "Metrics | ClassMetrics") -> dict[str, Any]:
    """Returns metrics in JSON's types: confusion by name for two classes, as rows of counts for more."""
    is_binary = isinstance(metrics, Metrics)
    return {**metrics._asdict(), "confusion": metrics.confusion._asdict() if is_binary else metrics.confusion}


def sigmoid(logits: Logits) -> Logits:
    """Turns logits into probabilities, without overflow."""
    wide = logits.astype(np.float64)
    small = np.exp(-np.abs(wide))
    return np.where(wide >= 0, 1 / (1 + small), small / (1 + small))


def losses(logits: Logits, labels: Labels) -> Float[np.ndarray, "*runs examples"]:
    """Returns the binary cross-entropy of each example, in nats."""
    wide = logits.astype(np.float64)
    return np.maximum(wide, 0) - wide * labels + np.log1p(np.exp(-np.abs(wide)))


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """Returns the mean binary cross-entropy, in nats."""
    return float(np.mean(losses(logits, labels)))


def accuracy(logits: Logits, labels: Labels) -> float:
    """Returns the share of right answers; a logit above 0 says positive."""
    return float(np.mean((logits > 0) == (labels > 0.5)))


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Returns the 95 % score interval of a proportion (Wilson 1927)."""
    from scipy.stats import binomtest  # here, since it takes long to import

    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def auc(logits: Logits, labels: Labels) -> float:
    """Returns the area under the ROC curve: how often a positive scores above a negative, ties counting half.

    It is the Mann-Whitney statistic (Hanley & McNeil 1982); NaN where one of the labels does not occur.
    """
    is_positive = labels > 0.5
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return math.nan
    from scipy.stats import rankdata  # here, since it takes long to import

    ranks = rankdata(np.asarray(logits, np.float64))  # newer releases of SciPy return ranks of the dtype given
    return float((ranks[is_positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration_error(logits: Logits, labels: Labels, bins: int = 15) -> float:
    """Returns the expected calibration error (Guo et al. 2017): |share of positives - mean probability|, by bin."""
    probability = sigmoid(logits)
    bin_of = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=labels - probability, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def rank_correlation(one: Float[np.ndarray, "examples"], other: Float[np.ndarray, "examples"]) -> float:
    """Returns the correlation of ranks (Spearman 1904); NaN where one has fewer than two different values."""
    from scipy.stats import spearmanr  # here, since it takes long to import

    if len(np.unique(one)) < 2 or len(np.unique(other)) < 2:
        return math.nan
    return float(spearmanr(np.asarray(one, np.float64), np.asarray(other, np.float64)).statistic)
