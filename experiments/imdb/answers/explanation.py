"""What a trained run thought of a text, word by word: its belief, its gates, and what each word contributed."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from experiments.imdb.answers.attribution import Explainers, make_explainers
from experiments.imdb.answers.predict import Label, label_of
from experiments.imdb.answers.reading import Reader, make_reader
from experiments.imdb.reviews.examples import pad
from experiments.imdb.reviews.vocabulary import START_ID, UNKNOWN_ID, count_known, word_ids
from experiments.imdb.reviews.words import spans, split_words
from experiments.imdb.runs.open import Run
from experiments.imdb.training.metrics import rank_correlation, sigmoid

__all__ = ["Explainer", "Explanation", "Word", "explain", "make_explainer"]


class Word(NamedTuple):
    """A word of the text."""

    start: int  # where it stands in the text
    end: int
    status: Literal["known", "unknown", "dropped", "cut"]
    """Known by name; read as "some rare word"; left out, as the training text never had it; or left out since the model
    reads its last `sequence_length` ids alone."""
    step: int | None  # of the reading, for words that are read; the start id is step 0
    probability: float  # of "positive" after it
    contribution: float  # to the logit, by integrated gradients
    occlusion: float  # what the logit loses without it


class Explanation(NamedTuple):
    """A text as a model read it."""

    text: str
    cell: str
    words: list[Word]
    probability: float  # of "positive", after the last word; what `predict` answers
    label: Label | None  # None: the model knows none of the words
    unknown_words: int  # of all words, those that the model does not know
    start_probability: float  # before the first word
    nothing_probability: float  # of a text of nothing, from which contributions are counted
    start_contribution: float  # of the start id
    gap: float  # what contributions lack to add up to logit(probability) - logit(nothing_probability)
    agreement: float  # rank correlation of the words' contributions and occlusions; NaN for fewer than two words
    num_cut: int  # words at the front that are not read, since the model reads its last `sequence_length` ids alone
    gates: dict[str, Float[np.ndarray, "steps hidden"]]  # at each step of the reading
    states: dict[str, Float[np.ndarray, "steps hidden"]]  # after it


class Explainer(NamedTuple):
    """What is compiled once for many texts."""

    run: Run
    reader: Reader
    explainers: Explainers


def make_explainer(run: Run) -> Explainer:
    """Makes a run ready to explain texts."""
    return Explainer(run, make_reader(run.recipe, run.params), make_explainers(run.recipe, run.params))


def explain(explainer: Explainer, text: str) -> Explanation:
    """Explains a text; any text will do, one without words too."""
    run, reader, explainers = explainer
    recipe = run.recipe
    ids = word_ids(run.vocabulary, split_words(text))
    # What each id that is read came from: the start id, from no word.
    origins = [None, *(place for place, number in enumerate(ids) if number is not None)][-recipe.sequence_length :]
    read = [number for place in origins if (number := START_ID if place is None else ids[place]) is not None]
    has_start = origins[0] is None
    before = reader.start(recipe.sequence_length - len(read))
    steps, num_known = reader.read(before, read), count_known(ids)
    if has_start:
        before = jax.tree.map(lambda leaf: leaf[0], steps.states)
    tokens = pad([np.array(read)], recipe.sequence_length, recipe.vocabulary_size)[0].astype(np.int32)
    attribution = explainers.integrated_gradients(tokens)
    contributions, occlusions = (of[-len(read) :] for of in (attribution.words, explainers.occlusion(tokens)))
    start, *of_steps, end = sigmoid(np.array([reader.logit(before), *steps.logits, attribution.baseline]))
    return Explanation(
        text=text,
        cell=recipe.cell,
        words=_words(text, ids, origins, start, of_steps, contributions, occlusions),
        probability=float(of_steps[-1]),
        label=label_of(float(of_steps[-1]), num_known),
        unknown_words=len(ids) - num_known,
        start_probability=float(start),
        nothing_probability=float(end),
        start_contribution=float(contributions[0]) if has_start else 0.0,
        gap=attribution.gap,
        agreement=rank_correlation(contributions[has_start:], occlusions[has_start:]),
        num_cut=origins[0] or 0,
        gates=_by_name(steps.gates),
        states=_by_name(steps.states),
    )


def _words(
    text: str,
    ids: Sequence[int | None],
    origins: Sequence[int | None],
    belief: float,
    probabilities: Sequence[float],
    contributions: Float[np.ndarray, "steps"],
    occlusions: Float[np.ndarray, "steps"],
) -> list[Word]:
    """Lays what happened at steps beside the words; one that is not read leaves the belief as it was."""
    step_of = {place: step for step, place in enumerate(origins)}
    words = []
    for place, ((start, end), number) in enumerate(zip(spans(text), ids, strict=True)):
        step = step_of.get(place)
        status = _status(number, step)
        if step is None:
            words.append(Word(start, end, status, None, float(belief), 0.0, 0.0))
            continue
        belief = probabilities[step]
        words.append(Word(start, end, status, step, float(belief), float(contributions[step]), float(occlusions[step])))
    return words


def _status(number: int | None, step: int | None) -> Literal["known", "unknown", "dropped", "cut"]:
    if number is None:
        return "dropped"
    if step is None:
        return "cut"
    return "unknown" if number == UNKNOWN_ID else "known"


def _by_name(arrays: Any) -> dict[str, Float[np.ndarray, "steps hidden"]]:
    """Takes the arrays out of a cell's NamedTuple; a cell that has none has no gates."""
    return {} if arrays is None else {name: np.asarray(value) for name, value in arrays._asdict().items()}
