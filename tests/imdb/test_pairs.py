"""Pairs of neighbouring words against counting in Python."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from experiments.imdb import vocabulary
from experiments.imdb.pairs import NumPairs, Pairs, frequent_pairs, known_pairs, mix


def hash_of(one, other):
    """The hash of a pair, in Python's integers."""
    mixed = one * 0x9E3779B1 % 2**32 ^ other * 0x85EBCA6B % 2**32
    mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D % 2**32
    return mixed ^ mixed >> 13


@pytest.fixture(scope="module")
def reviews():
    draw = np.random.default_rng(0)
    return [draw.zipf(1.5, draw.integers(0, 40)).clip(max=70_000).astype(np.int32) for _ in range(300)]


@pytest.mark.parametrize("count", [1, 100, 10**6])
def test_the_pairs_are_those_that_most_reviews_contain(reviews, count, monkeypatch):
    monkeypatch.setattr("experiments.imdb.pairs._BATCH", 64)
    times = Counter(pair for review in reviews for pair in set(pairwise(review.tolist())))
    best = sorted(times, key=lambda pair: (-times[pair], pair))[:count]
    assert frequent_pairs(reviews, count) == Pairs(tuple(sorted(hash_of(*pair) for pair in best)))


@pytest.mark.parametrize("count", [1, 100, 10**6])
def test_triples_are_chosen_as_pairs_are(reviews, count):
    triples = [set(zip(*(review[place:].tolist() for place in range(3)), strict=False)) for review in reviews]
    times = Counter(triple for each in triples for triple in each)
    best = sorted(times, key=lambda triple: (-times[triple], triple))[:count]
    expected = {hash_of(hash_of(one, other), last) for one, other, last in best}
    assert set(frequent_pairs(reviews, count, num_words=3).hashes) == expected
    pairs = frequent_pairs(reviews, 50)
    assert set(known_pairs(lambda: reviews, NumPairs(50, count)).hashes) == expected | set(pairs.hashes)


@pytest.mark.parametrize("count", [1, 100, 10**6])
def test_pairs_beyond_what_memory_may_hold_are_counted_in_files(reviews, count, monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.imdb.pairs._BATCH", 16)
    expected = frequent_pairs(reviews, count)
    monkeypatch.setattr("experiments.imdb.pair_counts._MOST", 200)
    (tmp_path / "counts" / "of a process that was killed").mkdir(parents=True)
    seen = []

    def read():
        for review in reviews:
            seen.extend(path.name for path in (tmp_path / "counts").glob("*.codes"))
            yield review

    assert frequent_pairs(read(), count, tmp_path / "counts") == expected
    assert len(set(seen)) > 5, "few files were written"
    assert list(tmp_path.iterdir()) == []


def test_two_known_pairs_never_share_a_hash(monkeypatch):
    monkeypatch.setattr(
        "experiments.imdb.pairs.mix", lambda one, other: (one + other).astype(np.uint32) // np.uint32(2)
    )
    found = frequent_pairs([np.array([1, 2]), np.array([2, 1]), np.array([2, 1]), np.array([9, 9])], 3)
    assert found.hashes == (1, 9)


def test_the_hash_is_that_of_whole_numbers():
    one, other = np.random.default_rng(0).integers(0, 2**31, (2, 100))
    assert mix(one.astype(np.int32), other.astype(np.int32)).tolist() == [
        hash_of(int(a), int(b)) for a, b in zip(one, other, strict=True)
    ]


def test_no_pairs_are_known_of_no_words():
    assert len(frequent_pairs([], 5)) == len(frequent_pairs([np.array([3])], 5)) == len(frequent_pairs([], 0)) == 0


@pytest.mark.parametrize("bad", [(2, 1), (1, 1), (-1, 3), (0, 2**32), (1.5,), (True,), ("a",)])
def test_hashes_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="hashes of pairs must be"):
        Pairs(bad)


def test_a_vocabulary_keeps_its_pairs(tmp_path):
    words, pairs = ("good", "bad"), Pairs((3, 2**32 - 1))
    with_pairs, without = vocabulary.Vocabulary(words, 6, pairs), vocabulary.Vocabulary(words, 6)
    for each in (with_pairs, without):
        vocabulary.save(each, tmp_path / "v.json")
        assert vocabulary.load(tmp_path / "v.json") == each
    assert json.loads((tmp_path / "v.json").read_bytes()) == {"size": 6, "words": ["good", "bad"]}  # as ever
    assert vocabulary.digest(with_pairs) != vocabulary.digest(without)
    (tmp_path / "v.json").write_text('{"size": 6, "words": ["good", "bad"], "pairs": [2, 1, 3]}')
    with pytest.raises(ValueError, match=r"v\.json is not a vocabulary: The hashes of pairs must be ascending"):
        vocabulary.load(tmp_path / "v.json")
