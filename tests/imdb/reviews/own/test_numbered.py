"""Numbers of words in bounded memory."""

from collections import Counter

import numpy as np
import pytest

from experiments.imdb.reviews.own.numbered import NumberedWords
from experiments.imdb.reviews.own.spill import Spill
from experiments.imdb.vocabulary import START_ID, UNKNOWN_ID, rank, uncut_ids


def spilled(folder, texts, max_words, monkeypatch, written_at_once):
    monkeypatch.setattr("experiments.imdb.reviews.own.spill._WRITTEN_AT_ONCE", written_at_once)
    monkeypatch.setattr("experiments.imdb.reviews.own.spill._PART_NUMBERS", 5 * written_at_once)
    words = NumberedWords(max_words)
    spill = Spill(folder, words)
    for text in texts:
        spill.add(text)
        assert len(words._numbers) <= max_words + written_at_once
    spill.finish()
    ranked, tables = words.finish()
    blocks = list(spill.blocks(tables))
    assert list(folder.iterdir()) == []
    ids = np.split(np.concatenate([block.ids for block in blocks]), np.cumsum(_lengths(blocks))[:-1])
    return ranked, tables, [each.tolist() for each in ids]


def _lengths(blocks):
    return np.concatenate([block.lengths for block in blocks])


@pytest.mark.parametrize("written_at_once", [1, 40, 10_000])
def test_without_a_limit_numbers_become_the_ids_of_a_count(tmp_path, monkeypatch, written_at_once):
    draw = np.random.default_rng(0)
    texts = [" ".join(f"w{number}" for number in draw.zipf(1.5, 7).clip(max=90)) for _ in range(200)] + [""]
    ranked, tables, ids = spilled(tmp_path, texts, 1000, monkeypatch, written_at_once)
    assert ranked == rank(Counter(word for text in texts for word in text.split()))
    ranks = {word: number for number, word in enumerate(ranked, start=1)}
    assert (ids, len(tables)) == ([uncut_ids(ranks, text) for text in texts], 1)


def test_rare_words_are_forgotten_and_frequent_ones_keep_their_ids(tmp_path, monkeypatch):
    frequent = [f"often{number}" for number in range(20)]
    texts = [f"{frequent[number % 20]} once{number} {frequent[number * 7 % 20]}" for number in range(3000)]
    ranked, tables, ids = spilled(tmp_path, texts, 200, monkeypatch, 30)
    assert len(tables) > 10
    assert set(ranked[:20]) == set(frequent)
    ranks = {word: number for number, word in enumerate(ranked, start=1)}
    for text, found in zip(texts, ids, strict=True):
        first, once, last = text.split()
        assert (found[0], found[1], found[3]) == (START_ID, ranks[first] + 3, ranks[last] + 3)
        assert found[2] == (ranks[once] + 3 if once in ranks else UNKNOWN_ID)
