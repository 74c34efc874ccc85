import json
import os
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.imdb.answers.predict import num_known
from experiments.imdb.answers.text_words import text_words
from experiments.imdb.reviews.words import keras_words, split_words
from experiments.imdb.vocabulary import (
    Vocabulary,
    count,
    encode,
    load,
    rank,
    save,
    uncut_ids,
)

FEW = Vocabulary(("the", "film", "was", "good"), size=6)  # the and film have ids, 4 and 5; was and good are unknown
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))  # halves of surrogate pairs too


def one_by_one(text: str) -> list[str]:
    """Keras' rule, character by character."""
    words, word = [], ""
    for character in text:
        if character in " \t\n" or (character in string.punctuation and character != "'"):
            words, word = [*words, word], ""
        else:
            word += character.lower() if character in string.ascii_uppercase else character
    return [word for word in [*words, word] if word]


def in_users_text(text: str) -> str:
    """A text with its separators as Keras knows them, by Python's own table of whitespace."""
    quotes_and_dashes = "‐‑‒–—―‘‚“”„…«»‹›"
    invisible = "\u200b\u2060\ufeff"
    text = text.replace("’", "'").replace("ʼ", "'")
    return "".join(" " if sign.isspace() or sign in quotes_and_dashes + invisible else sign for sign in text)


@pytest.mark.fault(24)
@pytest.mark.parametrize("split", [keras_words, split_words])
@pytest.mark.parametrize(
    "text, words",
    [
        ("", []),
        (" \t\n!?", []),
        ("It's GREAT.<br /><br />Isn't it?", ["it's", "great", "br", "br", "isn't", "it"]),
        ("ÄB İB \u017f \u212a", ["Äb", "İb", "\u017f", "\u212a"]),  # ASCII alone is lowered
        ("nul\0nul \ud800 \U0001f600!", ["nul\0nul", "\ud800", "\U0001f600"]),
        ("سلام שלום", ["سلام", "שלום"]),
        ("`tick` {a}|[b]~^_", ["tick", "a", "b"]),
    ],
)
def test_words_of_odd_texts(split, text, words):
    assert split(text) == words


@pytest.mark.parametrize(
    "text, words, kept_together",
    [
        ("It is bad\r\nboring\r\nawful", "it is bad boring awful", "it is bad\r boring\r awful"),
        ("very\u00a0bad", "very bad", "very\u00a0bad"),
        ("\ufeffbad film", "bad film", "\ufeffbad film"),  # how Windows' editors begin a file
        ("It’s “great” – really…", "it's great really", "it’s “great” – really…"),
    ],
)
def test_separators_that_keras_does_not_know_separate_in_users_texts_alone(text, words, kept_together):
    assert split_words(text) == words.split(" ")
    assert keras_words(text) == kept_together.split(" ")


@pytest.mark.parametrize("sign", [chr(number) for number in range(0x110000) if chr(number).isspace()], ids=ascii)
def test_every_whitespace_of_unicode_separates(sign):
    assert split_words(f"good{sign}bad") == ["good", "bad"]
    assert encode(FEW, f"the{sign}film").tolist() == [1, 4, 5]


@settings(deadline=None)
@given(ANY_TEXT | st.text(st.characters(codec="ascii")))
def test_words_are_those_of_the_rule(text):
    assert keras_words(text) == one_by_one(text)
    assert split_words(text) == one_by_one(in_users_text(text))


def test_words_are_those_of_keras(wheel_reviews):
    keras = pytest.importorskip("keras.src.legacy.preprocessing.text")
    texts = [review.text for review in wheel_reviews[::100] if review.text.isascii()]
    assert len(texts) > 200
    words = [keras.text_to_word_sequence(text) for text in texts]
    assert [keras_words(text) for text in texts] == [split_words(text) for text in texts] == words


def test_reviews_with_odd_separators_keep_the_words_of_keras(wheel_reviews):
    keras = pytest.importorskip("keras.src.legacy.preprocessing.text")
    texts = [review.text for review in wheel_reviews if {"\x85", "\xa0"} & set(review.text)]
    assert len(texts) > 300
    for text in texts:
        same = text.translate({ord(sign): sign.lower() for sign in string.ascii_uppercase})
        assert keras_words(text) == keras.text_to_word_sequence(same, lower=False)


@pytest.mark.fault(24)
def test_word_of_a_megabyte():
    assert split_words("A" * 1_000_000 + "!") == ["a" * 1_000_000]
    assert encode(FEW, "A" * 1_000_000).tolist() == [1]


def test_wheel_has_the_words_of_keras(wheel_counts, wheel_dataset):
    words = rank(wheel_counts)
    assert len(words) == 88_584
    assert words[:10] == ("the", "and", "a", "of", "to", "is", "br", "in", "it", "i")
    last_kept = wheel_counts[words[10_000 - 3 - 2]]
    assert last_kept == 31
    assert sum(number == last_kept for number in wheel_counts.values()) == 208
    assert wheel_dataset.vocabulary == Vocabulary(words, 10_000)


def test_count_is_that_of_all_words_in_all_texts():
    assert count(["the film", "The FILM, the end", ""]) == Counter(the=3, film=2, end=1)


def test_ranks_do_not_depend_on_the_order_of_the_texts():
    texts = ["c b a", "b c", "é z", "c"]
    assert rank(count(texts)) == rank(count(texts[::-1])) == ("c", "b", "a", "z", "é")


def test_ids_are_those_of_keras():
    assert encode(FEW, "The film was GOOD, the best.").tolist() == [1, 4, 5, 2, 2, 4]  # best is dropped
    assert encode(FEW, "the film").dtype == np.int32
    assert encode(Vocabulary(FEW.words, 100), "the film was good").tolist() == [1, 4, 5, 6, 7]
    assert uncut_ids(FEW.ranks, "The film was GOOD, the best.") == [1, 4, 5, 6, 7, 4]


@pytest.mark.fault(17)
@pytest.mark.parametrize("text", ["", "  ", "\n", "none of these", "\ud800\0"])
def test_texts_without_known_words_are_the_start_alone(text):
    assert encode(FEW, text).tolist() == [1]


@pytest.mark.fault(24)
@settings(deadline=None)
@given(ANY_TEXT)
def test_any_text_has_ids_in_range(text):
    ids = encode(FEW, text)
    assert ids.dtype == np.int32
    assert ids[0] == 1
    assert set(ids[1:].tolist()) <= {2, 4, 5}


@pytest.mark.parametrize(
    "text, known, words",
    [
        ("the film", 2, 2),
        ("the film was", 2, 3),
        ("the best film ever", 2, 4),
        ("was best", 0, 2),
        ("", 0, 0),
        ("!!", 0, 0),
    ],
)
def test_unknown_words_are_of_both_kinds(text, known, words):
    found = text_words(FEW, text)
    assert (num_known(found), len(found)) == (known, words)


@pytest.mark.parametrize("size", [3, 0, -1])
def test_size_without_room_for_words_is_refused(size):
    with pytest.raises(ValueError, match=f"at least 4 .* not {size}"):
        Vocabulary((), size)


@settings(deadline=None)
@given(st.sets(ANY_TEXT.filter(lambda text: one_by_one(text) == [text])), st.integers(4, 10**6))
def test_vocabulary_comes_back_as_it_was(tmp_path_factory, words, size):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.json"
    vocabulary = Vocabulary(tuple(words), size)
    save(vocabulary, path)
    assert load(path) == vocabulary
    json.loads(path.read_text(encoding="utf-8"))


def test_words_of_the_wheel_come_back_as_they_were(tmp_path, wheel_dataset):
    save(wheel_dataset.vocabulary, tmp_path / "vocabulary.json")
    assert load(tmp_path / "vocabulary.json") == wheel_dataset.vocabulary


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "not JSON"),
        (b'{"size": 10, "wor', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object with size and words"),
        (b'{"size": 10}', "not an object with size and words"),
        (b'{"size": "10", "words": []}', "its size is '10'"),
        (b'{"size": true, "words": []}', "its size is True"),
        (b'{"size": 3, "words": []}', "its size is 3"),
        (b'{"size": 10, "words": "the"}', "its words are not a list"),
        (b'{"size": 10, "words": [1]}', "1 is not a single word"),
        (b'{"size": 10, "words": ["The"]}', "'The' is not a single word"),
        (b'{"size": 10, "words": ["a b"]}', "'a b' is not a single word"),
        (b'{"size": 10, "words": [""]}', "'' is not a single word"),
        (b'{"size": 10, "words": ["the", "the"]}', "a word occurs twice"),
    ],
)
def test_damaged_vocabulary_is_refused(tmp_path, content, problem):
    path = tmp_path / "vocabulary.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"vocabulary.json is not a vocabulary: .*{problem}"):
        load(path)


def test_vocabulary_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"vocabulary\.json"):
        load(tmp_path / "vocabulary.json")


def test_failing_to_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "vocabulary.json"
    save(FEW, path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(Vocabulary(("other",), 10), path)
    assert load(path) == FEW
    assert list(tmp_path.iterdir()) == [path]
