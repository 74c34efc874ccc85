"""A text that changes is read on from where it changed, and ends as if it had been read at once."""

import numpy as np
import pytest

from experiments.imdb.answers.reading import make_reader
from experiments.imdb.reviews.words import located_words, split_words
from experiments.imdb.serving.session import begin, follow, units
from tests.imdb.small_run import WORDS, loop_logits, make_small_run

RUN = make_small_run("gru")
READER = make_reader(RUN.recipe, RUN.params)
IDS = {word: min(4 + place, 12) for place, word in enumerate(WORDS)}


def probability(text):
    ids = [1, *(2 if IDS[word] >= 12 else IDS[word] for word in split_words(text) if word in IDS)]
    return 1 / (1 + np.exp(-loop_logits(RUN, ids, num_padding=12)[-1]))


def test_each_word_is_read_once():
    session, read = begin(READER, 12), []
    text = "the film was not good"
    for end in range(len(text) + 1):
        session, update = follow(READER, RUN.vocabulary, session, text[:end])
        assert update.probability == pytest.approx(probability(text[:end]), rel=1e-4)
        read.append(update.num_read)
    # Parts of words are no words of the vocabulary, so that each of the four known ones is read when it is whole.
    assert sum(read) == 4
    assert max(read) == 1


def test_any_edit_ends_as_if_read_at_once():
    numbers = np.random.default_rng(0)
    session, shown, text = begin(READER, 12), [], ""
    for _ in range(60):
        start, end = sorted(numbers.integers(0, len(text) + 1, 2))
        words = " ".join(numbers.choice([*WORDS, "unheard", "!"], numbers.integers(0, 6)))
        text = text[:start] + words + text[end:]
        session, update = follow(READER, RUN.vocabulary, session, text)
        shown = [*shown[: update.unchanged], *update.words]
        assert [(word["start"], word["end"]) for word in shown] == [
            (start, end) for _, start, end in located_words(text)
        ]
        assert update.probability == pytest.approx(probability(text), rel=1e-4, abs=1e-6)
        for word in shown[-3:]:
            assert word["probability"] == pytest.approx(probability(text[: word["end"]]), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("text", ["", "...", "unheard", "rare unheard"])
def test_without_a_word_that_the_model_knows_there_is_no_label(text):
    _, update = follow(READER, RUN.vocabulary, begin(READER, 12), text)
    assert update.label is None


def test_a_words_change_is_that_of_the_logit():
    session, _ = follow(READER, RUN.vocabulary, begin(READER, 12), "good unheard rare")
    _, update = follow(READER, RUN.vocabulary, begin(READER, 12), "good unheard rare")
    logits = loop_logits(RUN, [1, IDS["good"], 2], num_padding=12)
    assert [word["change"] for word in update.words] == pytest.approx(
        [logits[1] - logits[0], 0, logits[2] - logits[1]], abs=1e-3
    )
    assert [word["status"] for word in update.words] == ["known", "dropped", "unknown"]
    assert update.label == ("positive" if logits[-1] > 0 else "negative")
    assert set(units(session, 2)) == {"update", "reset", "candidate", "hidden"}
    np.testing.assert_allclose(units(session, 2)["hidden"], session.steps.states.hidden[2], atol=1e-3)
    assert units(session, 1) == {}
    with pytest.raises(ValueError, match="no word 3"):
        units(session, 3)
