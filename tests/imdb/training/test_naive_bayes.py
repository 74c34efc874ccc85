"""Initial embeddings from log-count ratios, against counting in Python."""

import dataclasses
import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.imdb.pairs import frequent_pairs, known_pairs, mix
from experiments.imdb.reviews.examples import Examples
from experiments.imdb.training.model import init_params, make_forward
from experiments.imdb.training.naive_bayes import count_rows, log_count_ratios, own_counts, with_ratios
from experiments.imdb.training.noise import Noise
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.words import read_words
from experiments.imdb.vocabulary import Vocabulary

TOKENS = np.array([[0, 0, 1, 5, 6, 5], [0, 1, 5, 6, 2, 7], [1, 8, 8, 7, 6, 5], [0, 0, 0, 0, 1, 8]], np.uint16)
SMALL = Recipe(vocabulary_size=10, embedding_size=3, hidden_size=2, naive_bayes=0.5)


def _added(made, start, name):
    return np.asarray(made[name]["embedding"]) - np.asarray(start[name]["embedding"])


def pair_row(before, word, pairs):
    """The row of a pair of words, 0 for an unknown one and beside padding."""
    (hashed,) = mix(np.array([before]), np.array([word])).tolist()
    return pairs.hashes.index(hashed) + 1 if before and word and hashed in pairs.hashes else 0


def loop_ratio(rows, labels, row, wanted, candidates):
    def odds(of):
        counts = {
            each: 1 + sum(each in review for review, is_of in zip(rows, of, strict=True) if is_of)
            for each in candidates
        }
        return counts[row] / sum(counts.values())

    return math.log(odds(labels == wanted) / odds(labels != wanted))


@pytest.mark.parametrize("num_classes", [2, 3])
def test_ratios_are_those_of_the_formula(num_classes):
    labels = np.array([1, 0, 1, 0]) if num_classes == 2 else np.array([2, 0, 1, 0])
    found = log_count_ratios(TOKENS, labels.astype(np.float32), 10, 4, num_classes)
    assert found.shape == (10, num_classes)
    rows = [[each for each in row if each >= 4] for row in TOKENS.tolist()]
    for row, wanted in np.ndindex(*found.shape):
        seen = any(row in review for review in rows)
        expected = loop_ratio(rows, labels, row, wanted, range(10)) if seen else 0.0
        assert found[row, wanted] == pytest.approx(expected)


def test_ratios_are_added_in_one_direction_to_words_and_pairs():
    recipe = dataclasses.replace(SMALL, bigrams=5)
    pairs = frequent_pairs([row[row != 0] for row in TOKENS], recipe.num_pairs.pairs)
    labels = np.array([1, 0, 1, 0], np.float32)
    start = init_params(recipe)
    made = with_ratios(start, recipe, count_rows(recipe, Examples(TOKENS, labels), Vocabulary(("a",) * 6, 10, pairs)))
    added = {name: _added(made, start, name) for name in ("embedding", "pairs")}
    words = log_count_ratios(TOKENS, labels, 10, 4, 2)[:, 1:]
    direction = added["embedding"][5] / (0.5 * words[5])
    assert np.linalg.norm(direction) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(added["embedding"], 0.5 * words * direction, atol=1e-7)
    rows = np.array([[0, *(pair_row(*pair, pairs) for pair in pairwise(row))] for row in TOKENS.tolist()])
    of_pairs = log_count_ratios(rows, labels, 5, 1, 2)[:, 1:]
    np.testing.assert_allclose(added["pairs"], 0.5 * of_pairs * direction, atol=1e-7)
    assert (of_pairs[0], np.count_nonzero(of_pairs) > 0) == (0, True)
    assert made["head"] is start["head"]


def test_each_class_has_a_direction_of_its_own():
    recipe = dataclasses.replace(SMALL, num_classes=3, embedding_size=8)
    start, labels = init_params(recipe), np.array([2, 0, 1, 0], np.int32)
    made = with_ratios(start, recipe, count_rows(recipe, Examples(TOKENS, labels), Vocabulary(("a",) * 6, 10)))
    ratios = log_count_ratios(TOKENS, labels, 10, 4, 3)
    rank = np.linalg.matrix_rank(ratios)
    assert rank > 1
    assert np.linalg.matrix_rank(_added(made, start, "embedding"), tol=1e-5) == rank


@pytest.mark.parametrize("pair_size", [0, 3])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_review_is_trained_on_with_the_ratios_that_the_others_give(num_classes, pair_size):
    fields = {"leave_one_out": True, "bigrams": 6, "trigrams": 3, "pooling": "mean", "padding": "masked"}
    recipe = dataclasses.replace(SMALL, num_classes=num_classes, pair_size=pair_size, **fields)
    labels = np.array([1, 0, 1, 0] if num_classes == 2 else [2, 0, 1, 0], np.float32)
    pairs = known_pairs(lambda: [row[row != 0] for row in TOKENS], recipe.num_pairs)
    counts = count_rows(recipe, Examples(TOKENS, labels), Vocabulary(("a",) * 6, 10, pairs))
    start = jax.tree.map(lambda leaf: 5 * leaf, init_params(recipe))
    params = with_ratios(start, recipe, counts)
    tokens = jnp.asarray(TOKENS, jnp.int32)
    noise = Noise(jax.random.key(0), jnp.arange(4), jnp.asarray(labels))
    found = make_forward(recipe, pairs, own_counts(recipe, counts))(params, tokens, noise)

    words = read_words(tokens, pairs, has_triples=True)
    rows = {"embedding": TOKENS.astype(int), "pairs": np.asarray(words.pairs).reshape(4, -1)}
    classes, least_row = [1] if num_classes == 2 else [0, 1, 2], {"embedding": 4, "pairs": 1}
    directions = np.random.RandomState(0).normal(size=(len(classes), recipe.embedding_size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    forward = make_forward(recipe, pairs)
    for review in range(4):
        changed = {name: dict(params[name]) for name in params}
        for name, least in least_row.items():
            table = np.array(params[name]["embedding"], np.float64)
            for row in {each for each in rows[name][review].tolist() if each >= least}:
                of_features = np.eye(len(classes), pair_size) if pair_size and name == "pairs" else directions
                for direction, wanted in zip(of_features, classes, strict=True):
                    with_all, without = (
                        ratio_without(rows[name], labels, row, wanted, left_out) for left_out in (None, review)
                    )
                    table[row] += 0.5 * (without - with_all) * direction
            changed[name]["embedding"] = jnp.asarray(table, jnp.float32)
        np.testing.assert_allclose(found[review], forward(changed, tokens)[review], rtol=1e-5, atol=1e-6)


def ratio_without(rows, labels, row, wanted, left_out):
    """The ratio of a row without a review, less what all rows have in common."""
    counts = [0, 0]
    for review, label in enumerate(labels):
        if review != left_out and row in rows[review]:
            counts[int(label == wanted)] += 1
    return math.log(1 + counts[1]) - math.log(1 + counts[0])
