"""The answers of a trained run to texts, and how many of their words it knows."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.imdb.reviews.examples import pad
from experiments.imdb.reviews.vocabulary import as_read, count_known, word_ids
from experiments.imdb.reviews.words import split_words
from experiments.imdb.runs.open import Run
from experiments.imdb.training.metrics import sigmoid
from experiments.imdb.training.model import make_forward
from experiments.imdb.training.recipes import Recipe
from recurrent.training import make_mesh, make_predict

__all__ = ["Label", "Prediction", "answer_text", "label_of", "make_predictor", "predict"]

Label = Literal["positive", "negative"]


class Prediction(NamedTuple):
    """The answer for one text."""

    text: str
    probability: float  # of "positive"
    label: Label | None  # None: the model knows none of the words
    words: int  # of the text
    unknown_words: int  # of the same words, those that the model does not know
    is_cut: bool  # the model read its last `sequence_length` ids alone


def label_of(probability: float, num_known: int) -> Label | None:
    """Returns the label for a text; None if the model knows none of its words: there was nothing to read."""
    if not num_known:
        return None
    return "positive" if probability > 0.5 else "negative"


def answer_text(label: Label | None, probability: float, digits: int = 2) -> str:
    """Formats an answer so that its number can't be taken for the confidence in a negative one.

    >>> answer_text("negative", 0.1616), answer_text(None, 0.4)
    ('negative (P(positive) 0.16)', 'nothing to read')
    """
    return "nothing to read" if label is None else f"{label} (P(positive) {probability:.{digits}f})"


def predict(run: Run, texts: Sequence[str]) -> list[Prediction]:
    """Predicts each text, with the tokens of training. An empty text is defined: it is the start token alone."""
    return make_predictor(run)(texts)


def make_predictor(run: Run, chunk_size: int = 128) -> Callable[[Sequence[str]], list[Prediction]]:
    """Returns a `predict` for many calls. Runs of one recipe share what is compiled."""
    recipe, vocabulary = run.recipe, run.vocabulary
    compiled = _compiled(recipe, chunk_size)

    def predict(texts: Sequence[str]) -> list[Prediction]:
        words = [word_ids(vocabulary, split_words(text)) for text in texts]
        ids = [as_read(each) for each in words]
        tokens = pad(ids, recipe.sequence_length, recipe.vocabulary_size)
        probabilities = sigmoid(compiled(run.params, tokens)).tolist()
        return [
            _describe(text, of_text, probability, is_cut=len(read) > recipe.sequence_length)
            for text, of_text, read, probability in zip(texts, words, ids, probabilities, strict=True)
        ]

    return predict


def _describe(text: str, words: Sequence[int | None], probability: float, is_cut: bool) -> Prediction:
    num_known = count_known(words)
    return Prediction(text, probability, label_of(probability, num_known), len(words), len(words) - num_known, is_cut)


@cache
def _compiled(recipe: Recipe, chunk_size: int) -> Callable[[Any, Any], np.ndarray]:
    return make_predict(make_forward(recipe), make_mesh(1), chunk_size)
