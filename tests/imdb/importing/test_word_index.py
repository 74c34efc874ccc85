"""The ids of another word index become those of the reviews, and the model reads the same words as before."""

import json

import numpy as np
import pytest

from experiments.imdb.importing.word_index import move_rows, read_word_index
from experiments.imdb.vocabulary import Vocabulary, encode, save

WORDS = ("the", "film", "was", "good", "bad", "rare", "rarer")


def table(num_ids):
    return np.arange(num_ids, dtype=np.float32)[:, None]


def read(text, index, num_ids):
    """What a model of another index reads, by Keras' rule: words that the index lacks are dropped."""
    ids = [index[word] + 3 for word in text.split() if word in index]
    return [1, *(number if number < num_ids else 2 for number in ids)]


@pytest.mark.parametrize("num_ids", [5, 7, 9, 11])
def test_each_word_keeps_its_row(num_ids):
    index = {"film": 1, "the": 2, "rare": 3, "was": 4, "good": 5, "bad": 6, "rarer": 7}
    moved = move_rows(table(num_ids), index, Vocabulary(WORDS, num_ids))
    words = Vocabulary(WORDS, len(moved.table))
    for text in ("the film was good", "rare rarer bad bad", "", "the new film"):
        assert moved.table[encode(words, text), 0].tolist() == read(text, index, num_ids)
    assert moved.num_lost == moved.num_unknown == 0


def test_the_index_of_the_reviews_leaves_the_table_as_it_is():
    given = table(8)
    moved = move_rows(given, {word: rank for rank, word in enumerate(WORDS, 1)}, Vocabulary(WORDS, 8))
    assert moved.table is given
    assert moved[1:] == (0, 0, 0)


def test_words_that_one_side_lacks_are_counted():
    moved = move_rows(table(7), {"film": 1, "other": 2, "the": 3}, Vocabulary(WORDS, 7))
    assert (moved.num_moved, moved.num_lost, moved.num_unknown) == (2, 1, 5)
    assert moved.table[:, 0].tolist() == [0, 1, 2, 3, 6, 4]


def test_both_forms_are_read(tmp_path):
    index = {word: rank for rank, word in enumerate(WORDS, 1)}
    (tmp_path / "index.json").write_text(json.dumps(index))
    save(Vocabulary(WORDS, 6), tmp_path / "vocabulary.json")
    assert read_word_index(tmp_path / "index.json") == read_word_index(tmp_path / "vocabulary.json") == index


def test_an_index_may_hold_the_words_of_a_vocabulary(tmp_path):
    (tmp_path / "index.json").write_text('{"size": 1, "words": 2}')
    assert read_word_index(tmp_path / "index.json") == {"size": 1, "words": 2}


@pytest.mark.parametrize(
    "content, words",
    [
        ("[]", "not a word index"),
        ("{}", "not a word index"),
        ("x", "not JSON"),
        ('{"the": 0}', "'the' is 0"),
        ('{"the": true}', "'the' is True"),
        ('{"the": 1, "film": 1}', "one rank"),
        ('{"the": 1e99}', "whole number"),
    ],
)
def test_what_is_no_index_is_refused(tmp_path, content, words):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ValueError, match=words):
        read_word_index(tmp_path / "index.json")
