"""A text that is being written: what was read stays read, and reading goes on where the text changed."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.imdb.answers.predict import Label, label_of
from experiments.imdb.answers.reading import Reader, Steps
from experiments.imdb.reviews.vocabulary import START_ID, UNKNOWN_ID, Vocabulary, count_known, word_ids
from experiments.imdb.reviews.words import spans, split_words
from experiments.imdb.training.metrics import sigmoid

__all__ = ["Session", "Update", "begin", "follow", "units"]

_DECIMALS = 3  # of gates and states, which are only looked at


class Session(NamedTuple):
    """A text so far."""

    words: tuple[tuple[int, int, int | None], ...]  # from, up to, id or None
    ids: tuple[int, ...]  # that were read, the start id first
    steps: Steps  # what each of them did


class Update(NamedTuple):
    """What a page does not know yet."""

    unchanged: int  # words at the front that are as they were
    words: list[dict[str, Any]]  # the others
    probability: float
    label: Label | None  # None: there is no word yet that the model knows
    start_probability: float  # before the first word
    num_read: int  # words that the network had to read for this


def begin(reader: Reader, num_padding: int) -> Session:
    """Reads the start id after so much padding: how long the text will be is not known yet."""
    return Session((), (START_ID,), reader.read(reader.start(num_padding), [START_ID]))


def follow(reader: Reader, vocabulary: Vocabulary, session: Session, text: str) -> tuple[Session, Update]:
    """Reads on from the first word that is new, and says what changed."""
    numbers = word_ids(vocabulary, split_words(text))
    words = tuple((*span, number) for span, number in zip(spans(text), numbers, strict=True))
    ids = (START_ID, *(number for number in numbers if number is not None))
    kept = _num_alike(session.ids, ids)
    steps = jax.tree.map(itemgetter(slice(kept)), session.steps)
    if kept < len(ids):
        read = reader.read(jax.tree.map(itemgetter(kept - 1), session.steps.states), ids[kept:])
        steps = jax.tree.map(lambda *parts: np.concatenate(parts), steps, read)
    unchanged = _num_alike(session.words, words)
    probability = float(sigmoid(steps.logits[-1]))
    update = Update(
        unchanged=unchanged,
        words=_describe(words, unchanged, steps),
        probability=probability,
        label=label_of(probability, count_known(numbers)),
        start_probability=float(sigmoid(steps.logits[0])),
        num_read=len(ids) - kept,
    )
    return Session(words, ids, steps), update


def units(session: Session, word: int) -> dict[str, list[float]]:
    """Returns gates and states of a word's step by name; nothing for a word that is not read.

    Raises:
        ValueError: there is no such word.
    """
    if not 0 <= word < len(session.words):
        raise ValueError(f"There is no word {word}; the text has {len(session.words)}.")
    if session.words[word][2] is None:
        return {}
    step = sum(number is not None for _, _, number in session.words[: word + 1])
    gates = session.steps.gates
    named = {**(gates._asdict() if gates else {}), **session.steps.states._asdict()}
    return {name: np.round(values[step].astype(np.float64), _DECIMALS).tolist() for name, values in named.items()}


def _num_alike(old: Sequence[Any], new: Sequence[Any]) -> int:
    """Counts how many entries at the front are the same."""
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _describe(words: Sequence[tuple[int, int, int | None]], unchanged: int, steps: Steps) -> list[dict[str, Any]]:
    """Says of each word from `unchanged` on where it stands and what it did."""
    step = sum(number is not None for _, _, number in words[:unchanged])
    described = []
    for start, end, number in words[unchanged:]:
        is_read = number is not None
        step += is_read
        before, after = (float(steps.logits[max(at, 0)]) for at in (step - is_read, step))
        described.append(
            {
                "start": start,
                "end": end,
                "status": "dropped" if number is None else "unknown" if number == UNKNOWN_ID else "known",
                "probability": round(float(sigmoid(np.array(after))), 6),
                "change": round(after - before, 4),
            }
        )
    return described
