import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, log_loss, roc_auc_score

from experiments.imdb.training.metrics import auc, calibration_error, cross_entropy, measure, sigmoid, wilson


@pytest.fixture
def answers():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 500).astype(np.float32)
    logits = np.round(draw.normal(size=500) + labels, 1).astype(np.float32)  # rounded, so that there are ties
    return logits, labels


def test_metrics_equal_scikit_learn(answers):
    logits, labels = answers
    metrics = measure(logits, labels)
    np.testing.assert_allclose(metrics.auc, roc_auc_score(labels, logits), rtol=1e-12)
    np.testing.assert_allclose(metrics.loss, log_loss(labels, sigmoid(logits)), rtol=1e-12)
    np.testing.assert_array_equal(metrics.confusion, confusion_matrix(labels, logits > 0).ravel())
    assert metrics.accuracy == np.mean((logits > 0) == labels)


def test_wilson_interval_is_the_published_one():
    # Newcombe (1998), table I, method 3: 81 of 263 and 0 of 20.
    np.testing.assert_allclose(wilson(81, 263), (0.2553, 0.3662), atol=5e-5)
    np.testing.assert_allclose(wilson(0, 20), (0.0, 0.1611), atol=5e-5)


def test_calibration_error_by_hand():
    # Two bins: probabilities 0.25 (half of them right) and 0.75 (all of them right).
    logits = np.log(np.array([1 / 3, 1 / 3, 3, 3]))
    np.testing.assert_allclose(calibration_error(logits, np.array([1.0, 0.0, 1.0, 1.0]), bins=2), 0.25)


def test_extreme_logits_neither_overflow_nor_vanish():
    logits, labels = np.array([1e4, -1e4, 1e4], np.float32), np.array([1.0, 0.0, 0.0])
    np.testing.assert_array_equal(sigmoid(logits), [1.0, 0.0, 1.0])
    np.testing.assert_allclose(cross_entropy(logits, labels), 1e4 / 3)


def test_auc_is_not_a_number_without_both_labels():
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([1.0, 1.0])))


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 1\)"):
        measure(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(ValueError, match="examples"):
        measure(np.zeros(0), np.zeros(0))
