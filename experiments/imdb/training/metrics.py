"""What a classifier's logits say about it, in NumPy float64: the same numbers on any device."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = [
    "Confusion",
    "Metrics",
    "accuracy",
    "auc",
    "calibration_error",
    "cross_entropy",
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
    """All that `scripts/imdb evaluate` reports."""

    examples: int
    loss: float
    accuracy: float
    accuracy_low: float  # 95 % interval
    accuracy_high: float
    auc: float
    calibration_error: float
    confusion: Confusion


def measure(logits: Logits, labels: Labels) -> Metrics:
    """Computes all metrics.

    Raises:
        ValueError: there are no examples, or the shapes differ.
    """
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


def sigmoid(logits: Logits) -> Logits:
    """Turns logits into probabilities, without overflow."""
    wide = logits.astype(np.float64)
    small = np.exp(-np.abs(wide))
    return np.where(wide >= 0, 1 / (1 + small), small / (1 + small))


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """Returns the mean binary cross-entropy, in nats."""
    wide = logits.astype(np.float64)
    return float(np.mean(np.maximum(wide, 0) - wide * labels + np.log1p(np.exp(-np.abs(wide)))))


def accuracy(logits: Logits, labels: Labels) -> float:
    """Returns the share of right answers; a logit above 0 says positive."""
    return float(np.mean((logits > 0) == (labels > 0.5)))


def wilson(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Returns the score interval of a proportion (Wilson 1927); by default the 95 % one."""
    share, spread = successes / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return centre - half, centre + half


def auc(logits: Logits, labels: Labels) -> float:
    """Returns the area under the ROC curve: how often a positive scores above a negative, ties counting half.

    It is the Mann-Whitney statistic (Hanley & McNeil 1982); NaN where one of the labels does not occur.
    """
    is_positive = labels > 0.5
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return math.nan
    ranks = _mean_ranks(logits)
    return float((ranks[is_positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration_error(logits: Logits, labels: Labels, bins: int = 15) -> float:
    """Returns the expected calibration error (Guo et al. 2017): |share of positives - mean probability|, by bin."""
    probability = sigmoid(logits)
    bin_of = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=labels - probability, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def rank_correlation(one: Float[np.ndarray, "examples"], other: Float[np.ndarray, "examples"]) -> float:
    """Returns the correlation of ranks (Spearman 1904), ties sharing their mean rank; NaN where one has no order."""
    ranks = _mean_ranks(one), _mean_ranks(other)
    spreads = [float(np.std(each)) if len(each) else 0.0 for each in ranks]
    if not all(spreads):
        return math.nan
    return float(np.mean((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())) / (spreads[0] * spreads[1]))


def _mean_ranks(values: Logits) -> Float[np.ndarray, "examples"]:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[which]
