"""The model that is served: a run made ready, with its programs compiled in advance."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from experiments.imdb.answers.predict import Prediction, make_predictor
from experiments.imdb.answers.reading import LONGEST_READ, Reader, make_reader
from experiments.imdb.runs.open import Run
from experiments.imdb.vocabulary import START_ID, Vocabulary

__all__ = ["Model", "make_model", "warm_up"]


class Model(NamedTuple):
    """A run as the server uses it."""

    facts: dict[str, Any]  # for `/health` and the page
    vocabulary: Vocabulary
    sequence_length: int
    reader: Reader
    predict: Callable[[Sequence[str]], list[Prediction]]
    classes: tuple[str, ...]  # of the run


def make_model(run: Run, max_texts: int) -> Model:
    """Prepares a run; its programs are compiled at first use, or by `warm_up`."""
    return Model(
        facts={
            "cell": run.recipe.cell,
            "step": run.step,
            "sequence_length": run.recipe.sequence_length,
            "padding": run.recipe.padding,
        },
        vocabulary=run.vocabulary,
        sequence_length=run.recipe.sequence_length,
        reader=make_reader(run.recipe, run.params, run.vocabulary.pairs),
        predict=make_predictor(run, max_texts),
        classes=run.classes,
    )


def warm_up(model: Model, max_texts: int) -> None:
    """Compiles the programs of all requests, so the first request is as fast as the others."""
    for size in _powers(max_texts):
        model.predict([""] * min(size, max_texts))
    state = model.reader.start(model.sequence_length)
    for size in _powers(LONGEST_READ):
        model.reader.read(state, [START_ID] * size)


def _powers(limit: int) -> list[int]:
    """Returns the powers of two, up to the first that is at least the limit."""
    return [2**exponent for exponent in range((limit - 1).bit_length() + 1)]
