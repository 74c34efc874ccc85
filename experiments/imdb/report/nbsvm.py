"""The line to beat: a linear model of word pairs with naive Bayes weights (NBSVM, Wang & Manning 2012).

    r = log( (p / |p|) / (q / |q|) ),   p = 1 + counts of positive reviews,   q = 1 + those of negative ones

A review is the set of its words and pairs of neighbouring words. Each feature is multiplied by its r, and a linear
support vector machine is fitted; its weights are mixed with their mean magnitude.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from experiments.imdb.reviews.dataset import load, split
from experiments.imdb.reviews.own.split import VALIDATION_SHARE
from experiments.imdb.reviews.source import OnProgress, ignore_progress
from experiments.imdb.training.metrics import accuracy
from experiments.imdb.vocabulary import PADDING_ID

__all__ = ["Answers", "Fitted", "answer", "features", "fit", "mix", "score"]

_VOCABULARY_SIZE, _SEQUENCE_LENGTH = 100_000, 3000  # all words that occur, of all reviews
_MIX = 0.25  # of the fitted weights; the rest is their mean magnitude, as in the paper


class Fitted(NamedTuple):
    """A fitted model: a review is positive where its features times the weights exceed -bias."""

    weights: Float[np.ndarray, "features"]
    bias: float
    columns: Int[np.ndarray, "features"]  # the feature of each column, in order


class Answers(NamedTuple):
    """What a model answers to a split."""

    accuracy: float
    num_reviews: int
    num_features: int  # words and pairs that occur in training
    scores: Float[np.ndarray, "reviews"]


def answer(
    source: str,
    data_dir: Path,
    split_name: str,
    strength: float = 0.1,
    on_progress: OnProgress = ignore_progress,
    validation_share: float = VALIDATION_SHARE,
) -> Answers:
    """Fits the model to the training reviews of a source, and predicts a split.

    Raises:
        ValueError: the source has more than two classes, or lacks the split.
    """
    data = load(source, data_dir, _VOCABULARY_SIZE, _SEQUENCE_LENGTH, on_progress, validation_share)
    if len(data.classes) > 2:
        raise ValueError(f"nbsvm is for two classes, and {source} has {len(data.classes)}.")
    examples = split(data, split_name)
    on_progress("fitting NBSVM", 0, 2)
    model = fit(features(data.train.tokens, _VOCABULARY_SIZE), data.train.labels, strength)
    on_progress("predicting", 1, 2)
    scores = score(model, features(examples.tokens, _VOCABULARY_SIZE))
    return Answers(accuracy(scores, examples.labels), len(scores), len(model.columns), scores)


def features(tokens: Int[np.ndarray, "reviews time"], vocabulary_size: int) -> list[Int[np.ndarray, "_"]]:
    """Returns the words and pairs of each review, each once: ids, and beyond these a number for each pair."""
    found = []
    for row in np.asarray(tokens, np.int64):
        words = row[row != PADDING_ID]
        pairs = vocabulary_size + words[:-1] * vocabulary_size + words[1:]
        found.append(np.unique(np.concatenate([words, pairs])))
    return found


def fit(reviews: list[Int[np.ndarray, "_"]], labels: Float[np.ndarray, "reviews"], strength: float = 0.1) -> Fitted:
    """Fits the model.

    Args:
        reviews: of `features`.
        labels: 0 or 1.
        strength: C of the support vector machine.
    """
    from sklearn.svm import LinearSVC  # here, since it takes long to import

    columns = np.unique(np.concatenate(reviews))
    counts = _matrix(reviews, columns)
    is_positive = labels > 0.5
    positive, negative = (1 + counts.T @ rows.astype(np.float64) for rows in (is_positive, ~is_positive))
    ratio = np.log(positive / positive.sum()) - np.log(negative / negative.sum())
    machine = LinearSVC(C=strength, random_state=0).fit(counts.multiply(ratio).tocsr(), is_positive)
    fitted = machine.coef_[0]
    mixed = (1 - _MIX) * np.abs(fitted).mean() + _MIX * fitted
    return Fitted(mixed * ratio, float(machine.intercept_[0]) * _MIX, columns)


def score(model: Fitted, reviews: list[Int[np.ndarray, "_"]]) -> Float[np.ndarray, "reviews"]:
    """Returns the score of each review; above 0 it is positive. Features that were not in training are left out."""
    return _matrix(reviews, model.columns) @ model.weights + model.bias


def _matrix(reviews: list[Int[np.ndarray, "_"]], columns: Int[np.ndarray, "features"]) -> sparse.csr_matrix:
    places = [np.searchsorted(columns, each) for each in reviews]
    kept = [
        place[(place < len(columns)) & (columns[np.minimum(place, len(columns) - 1)] == each)]
        for place, each in zip(places, reviews, strict=True)
    ]
    ends = np.concatenate([[0], np.cumsum([len(each) for each in kept])])
    joined = np.concatenate(kept)
    return sparse.csr_matrix((np.ones(len(joined)), joined, ends), shape=(len(reviews), len(columns)))


def mix(logits: Float[np.ndarray, "reviews"], scores: Float[np.ndarray, "reviews"]) -> Float[np.ndarray, "reviews"]:
    """Returns the sum of a network's logits and NBSVM's scores, each divided by its standard deviation."""
    return logits / np.std(logits) + scores / np.std(scores)
