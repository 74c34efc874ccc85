"""A text that is being written: reading continues from the first word that changed."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from experiments.imdb.answers.log_odds import by_class, log_odds, predicted, shown_class
from experiments.imdb.answers.predict import Label, num_known
from experiments.imdb.answers.reading import Reader, Steps, named
from experiments.imdb.answers.text_words import TextWord, text_words
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.training.metrics import sigmoid
from experiments.imdb.vocabulary import START_ID, Vocabulary

__all__ = ["Session", "Update", "begin", "follow", "units"]

_DECIMALS = 3  # of gates and states, which are only displayed


class Session(NamedTuple):
    """A text so far."""

    words: tuple[TextWord, ...]
    ids: tuple[int, ...]  # that were read, the start id first
    steps: Steps  # the result of each id
    number: int | None = None  # of the class that was shown


class Update(NamedTuple):
    """What has changed since the page's last message."""

    unchanged: int  # words at the front that are the same
    words: list[dict[str, Any]]  # the others
    probability: float  # of the class that is shown
    label: Label | None  # None: the model knows none of the words
    start_probability: float  # before the first word
    num_read: int  # ids that the network read for this update
    of_class: str  # the class that is shown
    probabilities: dict[str, float] | None  # of each class, if there are more than two


def begin(reader: Reader, num_padding: int) -> Session:
    """Reads padding and the start id; the padding is whole, since the length of the text is not known yet."""
    return Session((), (START_ID,), reader.read(reader.start(num_padding), [START_ID]))


def follow(
    reader: Reader,
    vocabulary: Vocabulary,
    session: Session,
    text: str,
    classes: Sequence[str] = IMDB_CLASSES,
    of_class: str | None = None,
) -> tuple[Session, Update]:
    """Reads on from the first word that changed, and returns what changed: all words, if another class is shown.

    Args:
        reader: of the model.
        vocabulary: the model's.
        session: the text so far.
        text: the text now.
        classes: of the run.
        of_class: the class that is shown. By default the second of two classes, and the predicted one of more.

    Raises:
        ValueError: the run has no such class.
    """
    words = tuple(text_words(vocabulary, text))
    ids = (START_ID, *(word.id for word in words if word.id is not None))
    kept = _num_alike(session.ids, ids)
    steps = jax.tree.map(itemgetter(slice(kept)), session.steps)
    if kept < len(ids):
        read = reader.read(jax.tree.map(itemgetter(kept - 1), session.steps.states), ids[kept:])
        steps = jax.tree.map(lambda *parts: np.concatenate(parts), steps, read)
    answer = predicted(steps.logits[-1], len(classes))
    number = shown_class(classes, of_class, answer)
    odds = log_odds(steps.logits, number, len(classes))
    unchanged = _num_alike(session.words, words) if session.number in (None, number) else 0
    update = Update(
        unchanged=unchanged,
        words=_describe(words, unchanged, odds),
        probability=float(sigmoid(odds[-1])),
        label=classes[answer] if num_known(words) else None,
        start_probability=float(sigmoid(odds[0])),
        num_read=len(ids) - kept,
        of_class=classes[number],
        probabilities=by_class(steps.logits[-1], classes),
    )
    return Session(words, ids, steps, number), update


def units(session: Session, word: int) -> dict[str, list[float]]:
    """Returns gates and states by name at the step of a word; none for a word that is not read.

    Raises:
        ValueError: there is no such word.
    """
    if not 0 <= word < len(session.words):
        raise ValueError(f"There is no word {word}; the text has {len(session.words)}.")
    if session.words[word].id is None:
        return {}
    step = sum(each.id is not None for each in session.words[: word + 1])
    units = {**named(session.steps.gates), **named(session.steps.states)}
    return {name: np.round(values[step].astype(np.float64), _DECIMALS).tolist() for name, values in units.items()}


def _num_alike(old: Sequence[Any], new: Sequence[Any]) -> int:
    """Counts equal entries at the front."""
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _describe(words: Sequence[TextWord], unchanged: int, odds: Float[np.ndarray, "steps"]) -> list[dict[str, Any]]:
    """Returns place, status and effect of each word from `unchanged` on."""
    step = sum(word.id is not None for word in words[:unchanged])
    described = []
    for word in words[unchanged:]:
        is_read = word.id is not None
        step += is_read
        before, after = (float(odds[max(at, 0)]) for at in (step - is_read, step))
        described.append(
            {
                "start": word.start,
                "end": word.end,
                "status": word.status,
                "probability": round(float(sigmoid(np.array(after))), 6),
                "change": round(after - before, 4),
            }
        )
    return described
