"""Predictions of a trained run for texts, with counts of their unknown words."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from experiments.imdb.answers.text_words import TextWord, text_words
from experiments.imdb.pairs import Pairs
from experiments.imdb.reviews.examples import pad
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.runs.open import Run
from experiments.imdb.training.class_metrics import log_softmax
from experiments.imdb.training.metrics import sigmoid
from experiments.imdb.training.model import make_forward
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import as_read
from recurrent.training import make_mesh, make_predict

__all__ = ["Label", "Prediction", "answer_text", "label_of", "make_predictor", "num_known", "predict"]

Label = str
"""The name of a class: "negative" or "positive" for the IMDB reviews."""


class Prediction(NamedTuple):
    """The prediction for one text."""

    text: str
    probability: float  # of "positive"; for own data, of the second of two classes, or of the label among several
    label: Label | None  # None: the model knows none of the words
    words: int  # of the text
    unknown_words: int  # of these, the words that the model does not know
    is_cut: bool  # whether the model read only the last `sequence_length` ids
    probabilities: dict[str, float] | None = None  # of each class, if there are more than two


def num_known(words: Sequence[TextWord]) -> int:
    """Counts the words that the vocabulary has."""
    return sum(word.status == "known" for word in words)


def label_of(probability: float, num_known: int, classes: Sequence[str] = IMDB_CLASSES) -> Label | None:
    """Returns the label of a text, the first or the second class; None if the model knows none of its words."""
    return classes[int(probability > 0.5)] if num_known else None


def answer_text(
    label: Label | None,
    probability: float,
    digits: int = 2,
    classes: Sequence[str] = IMDB_CLASSES,
    of_class: str | None = None,
) -> str:
    """Formats an answer so that its number can't be taken for the confidence in a negative one.

    Args:
        label: the predicted class; None if there is nothing to read.
        probability: of `of_class`.
        digits: of the probability.
        classes: of the run.
        of_class: by default the second of two classes, or the label among several.

    >>> answer_text("negative", 0.1616), answer_text(None, 0.4)
    ('negative (P(positive) 0.16)', 'nothing to read')
    """
    of_class = of_class or (classes[1] if len(classes) == 2 else label)
    return "nothing to read" if label is None else f"{label} (P({of_class}) {probability:.{digits}f})"


def predict(run: Run, texts: Sequence[str]) -> list[Prediction]:
    """Predicts each text, tokenized as in training. An empty text is the start token alone."""
    return make_predictor(run)(texts)


def make_predictor(run: Run, chunk_size: int = 128) -> Callable[[Sequence[str]], list[Prediction]]:
    """Returns a `predict` for many calls. Runs of one recipe share the compiled program."""
    recipe = run.recipe
    compiled = _compiled(recipe, run.vocabulary.pairs, chunk_size)

    def predict(texts: Sequence[str]) -> list[Prediction]:
        words = [text_words(run.vocabulary, text) for text in texts]
        ids = [as_read(word.id for word in each) for each in words]
        tokens = pad(ids, recipe.sequence_length, recipe.vocabulary_size)
        logits = compiled(run.params, tokens)
        describe = _describe if recipe.num_classes == 2 else _describe_several
        found = sigmoid(logits) if recipe.num_classes == 2 else np.exp(log_softmax(logits))
        return [
            describe(text, of_text, probability, run.classes, len(read) > recipe.sequence_length)
            for text, of_text, read, probability in zip(texts, words, ids, found.tolist(), strict=True)
        ]

    return predict


def _describe(
    text: str, words: Sequence[TextWord], probability: float, classes: Sequence[str], is_cut: bool
) -> Prediction:
    known = num_known(words)
    label = label_of(probability, known, classes)
    return Prediction(text, probability, label, len(words), len(words) - known, is_cut)


def _describe_several(
    text: str, words: Sequence[TextWord], probabilities: Sequence[float], classes: Sequence[str], is_cut: bool
) -> Prediction:
    known, by_class = num_known(words), dict(zip(classes, probabilities, strict=True))
    label = max(by_class, key=lambda name: by_class[name])
    counts = len(words), len(words) - known, is_cut
    return Prediction(text, by_class[label], label if known else None, *counts, by_class)


@cache
def _compiled(recipe: Recipe, pairs: Pairs, chunk_size: int) -> Callable[[Any, Any], np.ndarray]:
    return make_predict(make_forward(recipe, pairs), make_mesh(1), chunk_size)
