"""An explanation of a text, word by word: the probability after each word, gates, and contributions."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from experiments.imdb.answers.attribution import Explainers, make_explainers
from experiments.imdb.answers.log_odds import by_class, class_number, log_odds, predicted, shown_class
from experiments.imdb.answers.predict import Label, num_known
from experiments.imdb.answers.reading import Reader, make_reader, named
from experiments.imdb.answers.text_words import TextWord, text_words
from experiments.imdb.reviews.examples import pad
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.runs.open import Run
from experiments.imdb.training.metrics import rank_correlation, sigmoid
from experiments.imdb.vocabulary import START_ID

__all__ = ["Explainer", "Explanation", "Word", "explain", "make_explainer"]


class Word(NamedTuple):
    """A word of the text."""

    start: int  # its place in the text
    end: int
    status: Literal["known", "unknown", "dropped", "cut"]
    """In the vocabulary; read as the unknown word; left out, since the training text lacks it; or left out, since the
    model reads only the last `sequence_length` ids."""
    step: int | None  # of the model, where the start id is step 0; None for a word that is not read
    probability: float  # of the explained class after it
    contribution: float  # to its log-odds, by integrated gradients
    occlusion: float  # the log-odds minus the log-odds without the word


class Explanation(NamedTuple):
    """How a model reads a text: the probability of one class, and what raises and lowers it."""

    text: str
    cell: str
    words: list[Word]
    probability: float  # of the explained class after the last word
    label: Label | None  # None: the model knows none of the words
    unknown_words: int  # of all words, those that the model does not know
    start_probability: float  # before the first word
    nothing_probability: float  # of an empty text, the baseline of the contributions
    start_contribution: float  # of the start id
    gap: float  # logit(probability) - logit(nothing_probability) - the sum of contributions
    agreement: float  # rank correlation of the words' contributions and occlusions; NaN for fewer than two words
    num_cut: int  # words at the front that are not read, since the model reads only the last `sequence_length` ids
    gates: dict[str, Float[np.ndarray, "steps hidden"]]  # at each step
    states: dict[str, Float[np.ndarray, "steps hidden"]]  # after each step
    classes: tuple[str, ...] = IMDB_CLASSES  # of the run
    of_class: str = IMDB_CLASSES[1]  # the explained class
    probabilities: dict[str, float] | None = None  # of each class after the last word, if there are more than two


class Explainer(NamedTuple):
    """Compiled programs that explain many texts."""

    run: Run
    reader: Reader
    explainers: Explainers


def make_explainer(run: Run) -> Explainer:
    """Prepares a run to explain texts."""
    of_run = run.recipe, run.params, run.vocabulary.pairs
    return Explainer(run, make_reader(*of_run), make_explainers(*of_run))


def explain(explainer: Explainer, text: str, of_class: str | None = None) -> Explanation:
    """Explains any text, also one without words.

    Args:
        explainer: of `make_explainer`.
        text: the text.
        of_class: the class that is explained. By default the second of two classes, and the predicted one of more.

    Raises:
        ValueError: the run has no such class.
    """
    run, reader, explainers = explainer
    recipe = run.recipe
    if of_class is not None:
        class_number(run.classes, of_class)  # before the work
    words = text_words(run.vocabulary, text)
    # The word behind each id that is read; the start id has none.
    origins = [None, *(place for place, word in enumerate(words) if word.id is not None)][-recipe.sequence_length :]
    read = [number for place in origins if (number := START_ID if place is None else words[place].id) is not None]
    has_start = origins[0] is None
    before = reader.start(recipe.sequence_length - len(read))
    steps, known = reader.read(before, read), num_known(words)
    if has_start:
        before = jax.tree.map(lambda leaf: leaf[0], steps.states)
    tokens = pad([np.array(read)], recipe.sequence_length, recipe.vocabulary_size)[0].astype(np.int32)
    answer = predicted(steps.logits[-1], recipe.num_classes)
    number = shown_class(run.classes, of_class, answer)
    attribution = explainers.integrated_gradients(tokens, number)
    contributions, occlusions = (of[-len(read) :] for of in (attribution.words, explainers.occlusion(tokens, number)))
    odds = log_odds(np.stack([reader.logits(before), *steps.logits]), number, recipe.num_classes)
    start, *of_steps, end = sigmoid(np.append(odds, attribution.baseline))
    return Explanation(
        text=text,
        cell=recipe.cell,
        words=_words(words, origins, start, of_steps, contributions, occlusions),
        probability=float(of_steps[-1]),
        label=run.classes[answer] if known else None,
        unknown_words=len(words) - known,
        start_probability=float(start),
        nothing_probability=float(end),
        start_contribution=float(contributions[0]) if has_start else 0.0,
        gap=attribution.gap,
        agreement=rank_correlation(contributions[has_start:], occlusions[has_start:]),
        num_cut=origins[0] or 0,
        gates=_by_name(steps.gates),
        states=_by_name(steps.states),
        classes=run.classes,
        of_class=run.classes[number],
        probabilities=by_class(steps.logits[-1], run.classes),
    )


def _words(
    words: Sequence[TextWord],
    origins: Sequence[int | None],
    probability: float,
    probabilities: Sequence[float],
    contributions: Float[np.ndarray, "steps"],
    occlusions: Float[np.ndarray, "steps"],
) -> list[Word]:
    """Assigns the steps to their words; a word that is not read leaves the probability unchanged."""
    step_of = {place: step for step, place in enumerate(origins)}
    found = []
    for place, word in enumerate(words):
        step = step_of.get(place)
        if step is None:
            status = "dropped" if word.id is None else "cut"
            found.append(Word(word.start, word.end, status, None, float(probability), 0.0, 0.0))
            continue
        probability = probabilities[step]
        effects = float(contributions[step]), float(occlusions[step])
        found.append(Word(word.start, word.end, word.status, step, float(probability), *effects))
    return found


def _by_name(arrays: Any) -> dict[str, Float[np.ndarray, "steps hidden"]]:
    """Returns the arrays of a cell's NamedTuple by name; none for a cell without gates, or a model without states."""
    return {name: np.asarray(value) for name, value in named(arrays).items()}
