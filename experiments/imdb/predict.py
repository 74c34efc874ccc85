"""What a trained run says about texts: the answer, and how much of the text the answer rests on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.imdb.batches import pad
from experiments.imdb.metrics import sigmoid
from experiments.imdb.runs import Run
from experiments.imdb.vocabulary import encode, unknown_share
from recurrent.training import make_mesh, make_predict

__all__ = ["Prediction", "make_predictor", "predict"]


class Prediction(NamedTuple):
    """The answer for one text."""

    text: str
    probability: float  # of "positive"
    label: str
    tokens: int  # ids the text became, the start token included
    unknown: float  # share of its words that the model knows only as "unknown", or not at all
    is_cut: bool  # the model read its last `sequence_length` ids alone


def predict(run: Run, texts: Sequence[str]) -> list[Prediction]:
    """Predicts each text, with the tokens of training. An empty text is defined: it is the start token alone."""
    return make_predictor(run)(texts)


def make_predictor(run: Run, chunk_size: int = 128) -> Callable[[Sequence[str]], list[Prediction]]:
    """Returns a `predict` for many calls: what was compiled for one serves the next."""
    recipe = run.recipe
    compiled = make_predict(run.forward, make_mesh(1), chunk_size)

    def predict(texts: Sequence[str]) -> list[Prediction]:
        ids = [encode(run.vocabulary, text) for text in texts]
        tokens = pad(ids, recipe.sequence_length, recipe.vocabulary_size)
        probabilities = sigmoid(np.asarray(compiled(run.params, tokens)))
        return [
            Prediction(
                text=text,
                probability=float(probability),
                label="positive" if probability > 0.5 else "negative",
                tokens=len(each),
                unknown=unknown_share(run.vocabulary, text),
                is_cut=len(each) > recipe.sequence_length,
            )
            for text, each, probability in zip(texts, ids, probabilities, strict=True)
        ]

    return predict
