"""NBSVM against its formulas, written out for dense arrays."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from experiments.imdb.commands.report import _beside
from experiments.imdb.report.nbsvm import Answers, features, fit, mix, score

SIZE = 12


@pytest.fixture
def reviews():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 60).astype(np.float32)
    tokens = np.zeros((60, 9), np.uint16)
    for row, label in enumerate(labels):
        length = draw.integers(1, 10)
        tokens[row, 9 - length :] = draw.integers(4, 8, length) + 4 * (draw.random(length) < 0.2 + 0.6 * label)
    return tokens, labels


def test_features_are_the_words_and_neighbouring_pairs_once_each():
    tokens = np.array([[0, 0, 5, 7, 5, 7], [0, 0, 0, 0, 0, 0]])
    pair = {(one, other): SIZE + one * SIZE + other for one in (5, 7) for other in (5, 7)}
    found = features(tokens, SIZE)
    assert [each.tolist() for each in found] == [sorted([5, 7, pair[5, 7], pair[7, 5]]), []]


def test_scores_are_those_of_the_formulas(reviews):
    tokens, labels = reviews
    found = features(tokens, SIZE)
    columns = sorted({int(each) for row in found for each in row})
    dense = np.array([[float(column in row) for column in columns] for row in found])
    p, q = 1 + dense[labels == 1].sum(0), 1 + dense[labels == 0].sum(0)
    ratio = np.log((p / p.sum()) / (q / q.sum()))
    machine = LinearSVC(C=0.1, random_state=0).fit(dense * ratio, labels > 0.5)
    weights = machine.coef_[0]
    mixed = 0.75 * np.abs(weights).mean() + 0.25 * weights
    expected = (dense * ratio) @ mixed + 0.25 * machine.intercept_[0]
    model = fit(found, labels)
    np.testing.assert_allclose(score(model, found), expected, rtol=1e-3, atol=1e-4)
    assert np.mean((score(model, found) > 0) == (labels > 0.5)) > 0.85


def test_features_that_were_not_in_training_are_left_out(reviews):
    tokens, labels = reviews
    model = fit(features(tokens, SIZE), labels)
    unseen = features(np.array([[3, 3]]), SIZE)
    assert score(model, unseen).tolist() == [model.bias]


def test_a_mixture_does_not_depend_on_the_scales():
    logits, scores = np.array([3.0, -1.0, 0.5]), np.array([-0.2, -0.1, 0.4])
    expected = logits / logits.std() + scores / scores.std()
    np.testing.assert_allclose(mix(logits, scores), expected)
    np.testing.assert_allclose(mix(1000 * logits, scores / 7), expected)


def test_a_run_that_diverged_or_answers_one_number_has_no_accuracy_with_nbsvm():
    found = Answers(0.5, 3, 1, np.array([0.5, -0.5, 0.25]))
    logits = {"good": np.array([2.0, -1.0, 1.0]), "diverged": np.full(3, np.nan), "constant": np.ones(3)}
    measured = SimpleNamespace(logits=logits, reviews=SimpleNamespace(labels=np.array([1.0, 0.0, 1.0])))
    mixed = _beside(found, measured)["with_nbsvm"]
    np.testing.assert_equal(mixed, {"good": 1.0, "diverged": np.nan, "constant": np.nan})
