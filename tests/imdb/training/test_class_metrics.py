import numpy as np
import pytest
from sklearn import metrics as sklearn

from experiments.imdb.training import metrics as two_classes
from experiments.imdb.training.class_metrics import (
    accuracy,
    calibration_error,
    confusion_matrix,
    cross_entropy,
    log_softmax,
    losses,
    macro_f1,
    measure,
)


@pytest.fixture
def answers():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 5, 600).astype(np.int32)
    labels[labels == 3] = 2  # class 3 does not occur; it is predicted
    logits = draw.normal(size=(600, 6)).astype(np.float32)
    logits[:, 5] = -20.0  # class 5 neither occurs nor is predicted
    logits[np.arange(600), labels] += 1
    return logits, labels


def test_metrics_equal_scikit_learn(answers):
    logits, labels = answers
    found, predicted = measure(logits, labels), logits.argmax(axis=1)
    assert found.examples == 600
    assert found.accuracy == accuracy(logits, labels) == sklearn.accuracy_score(labels, predicted)
    probabilities = np.exp(log_softmax(logits))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
    expected = sklearn.log_loss(labels, probabilities, labels=range(6))
    np.testing.assert_allclose([found.loss, cross_entropy(logits, labels)], expected, rtol=1e-9)
    np.testing.assert_allclose(found.macro_f1, sklearn.f1_score(labels, predicted, average="macro"), rtol=1e-12)
    assert found.confusion == sklearn.confusion_matrix(labels, predicted, labels=range(6)).tolist()
    assert found.accuracy_low < found.accuracy < found.accuracy_high


def test_two_columns_say_what_one_logit_says():
    draw = np.random.default_rng(1)
    labels = draw.integers(0, 2, 200)
    logit = draw.normal(size=200) + labels
    of_classes, of_logit = measure(np.stack([np.zeros(200), logit], 1), labels), two_classes.measure(logit, labels)
    np.testing.assert_allclose(of_classes.loss, of_logit.loss, rtol=1e-12)
    assert of_classes.accuracy == of_logit.accuracy
    assert np.ravel(of_classes.confusion).tolist() == list(of_logit.confusion)


def test_calibration_error_by_hand():
    # Confidence 0.6 twice, of which one is right, and 0.9 twice, of which both are.
    logits = np.log(np.array([[0.6, 0.2, 0.2], [0.6, 0.2, 0.2], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]))
    np.testing.assert_allclose(calibration_error(logits, np.array([0, 1, 1, 2])), (0.1 + 0.1 + 0.0) / 2 / 2 + 0.1 / 2)


def test_extreme_logits_neither_overflow_nor_vanish():
    logits, labels = np.array([[1e4, 0.0, -1e4], [1e4, 0.0, -1e4]], np.float32), np.array([0, 2])
    np.testing.assert_array_equal(losses(logits, labels), [0.0, 2e4])


def test_a_perfect_and_a_constant_answer():
    labels = np.array([0, 1, 2, 2])
    assert macro_f1(np.eye(3)[labels], labels) == 1.0
    constant = np.tile([0.0, 0.0, 1.0], (4, 1))
    np.testing.assert_allclose(macro_f1(constant, labels), (2 * 2 / (4 + 2)) / 3)
    assert confusion_matrix(constant, labels).tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 2]]


@pytest.mark.parametrize(
    "logits, labels, message",
    [
        (np.zeros((3, 4)), np.zeros((3, 1), int), r"\(3, 4\) and \(3, 1\)"),
        (np.zeros(3), np.zeros(3, int), "examples, classes"),
        (np.zeros((0, 4)), np.zeros(0, int), "examples"),
        (np.zeros((2, 4)), np.array([0, 4]), "Label 4 of example 1 is outside 0 to 3"),
        (np.zeros((2, 4)), np.array([0, -1]), "Label -1 of example 1"),
        (np.zeros((2, 4)), np.array([0.0, 1.0]), "integer ids of classes, not float64"),
    ],
)
def test_what_does_not_fit_is_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        measure(logits, labels)
