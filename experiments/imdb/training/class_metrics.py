"""Metrics of a classifier of several classes from its logits, in NumPy float64: the same bits on any device.

Two classes have one logit, and metrics of their own in `metrics.py`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from experiments.imdb.training.metrics import wilson

__all__ = [
    "ClassMetrics",
    "accuracy",
    "calibration_error",
    "confusion_matrix",
    "cross_entropy",
    "log_softmax",
    "losses",
    "macro_f1",
    "measure",
]

Logits = Float[np.ndarray, "examples classes"]
Labels = Int[np.ndarray, "examples"]


class ClassMetrics(NamedTuple):
    """The metrics that `scripts/imdb evaluate` reports for more than two classes."""

    examples: int
    loss: float
    accuracy: float
    accuracy_low: float  # 95 % interval
    accuracy_high: float
    macro_f1: float
    calibration_error: float
    confusion: list[list[int]]  # counts [actual][predicted]


def measure(logits: Logits, labels: Labels) -> ClassMetrics:
    """Computes all metrics.

    Raises:
        ValueError: there are no examples, the shapes do not fit, or a label is out of range.
    """
    _check(logits, labels)
    low, high = wilson(int(np.sum(logits.argmax(axis=1) == labels)), len(labels))
    return ClassMetrics(
        examples=len(labels),
        loss=cross_entropy(logits, labels),
        accuracy=accuracy(logits, labels),
        accuracy_low=low,
        accuracy_high=high,
        macro_f1=macro_f1(logits, labels),
        calibration_error=calibration_error(logits, labels),
        confusion=confusion_matrix(logits, labels).tolist(),
    )


def _check(logits: Logits, labels: Labels) -> None:
    if logits.ndim != 2 or logits.shape[1] < 2 or labels.shape != logits.shape[:1] or not labels.size:
        raise ValueError(
            f"Metrics need logits [examples, classes] and labels [examples], not {logits.shape} and {labels.shape}."
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(f"Labels of several classes must be integer ids of classes, not {labels.dtype}.")
    bad = np.flatnonzero((labels < 0) | (labels >= logits.shape[1]))
    if bad.size:
        raise ValueError(f"Label {labels[bad[0]]} of example {bad[0]} is outside 0 to {logits.shape[1] - 1}.")


def log_softmax(logits: Logits) -> Logits:
    """Turns logits into log-probabilities, without overflow."""
    shifted = logits.astype(np.float64) - np.max(logits, axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def losses(logits: Logits, labels: Labels) -> Float[np.ndarray, "examples"]:
    """Returns the cross-entropy of each example, in nats."""
    return -np.take_along_axis(log_softmax(logits), np.asarray(labels)[:, None], axis=1)[:, 0]


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """Returns the mean cross-entropy (log loss), in nats."""
    return float(np.mean(losses(logits, labels)))


def accuracy(logits: Logits, labels: Labels) -> float:
    """Returns the share of right answers; the answer is the class with the largest logit, the first of equals."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def confusion_matrix(logits: Logits, labels: Labels) -> Int[np.ndarray, "classes classes"]:
    """Returns the number of examples of each actual class (row) and predicted class (column)."""
    size = logits.shape[1]
    cells = np.asarray(labels).astype(np.int64) * size + logits.argmax(axis=1)
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def macro_f1(logits: Logits, labels: Labels) -> float:
    """Returns the mean over classes of F1 = 2 tp / (2 tp + fp + fn).

    A class that neither occurs nor is predicted is left out, as in scikit-learn.
    """
    counts = confusion_matrix(logits, labels)
    right, whole = np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2 * right[whole > 0] / whole[whole > 0]))


def calibration_error(logits: Logits, labels: Labels, bins: int = 15) -> float:
    """Returns the expected calibration error of the predicted class (Guo et al. 2017): |accuracy - confidence|, by bin.

    That of two classes in `metrics.py` bins the probability of the second class instead.
    """
    confidence, is_right = np.exp(log_softmax(logits)).max(axis=1), logits.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=is_right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
