import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from experiments.imdb.reviews.own.classes import class_weights, in_order


@pytest.mark.parametrize(
    "names, expected",
    [
        (["pos", "neg"], ("neg", "pos")),
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["1", "0.5", "1e3"], ("0.5", "1", "1e3")),
        (["10", "9", "none"], ("10", "9", "none")),
        (["nan", "1"], ("1", "nan")),
        (["1", "01", "1.0"], ("01", "1", "1.0")),
    ],
)
def test_classes_are_sorted_as_numbers_if_all_are(names, expected):
    assert in_order(names) == expected
    assert in_order(names[::-1]) == expected


def test_balanced_weights_equal_scikit_learn():
    labels = np.random.default_rng(0).choice(4, 500, p=[0.7, 0.1, 0.15, 0.05])
    weights = class_weights(labels, "abcd")
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(4), y=labels), rtol=1e-6)
    np.testing.assert_allclose(weights[labels].mean(dtype=np.float64), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(weights, class_weights(labels.astype(np.float32), "abcd"))  # as two classes have them


def test_weights_are_given_by_name():
    labels = np.array([0, 1])
    assert class_weights(labels, ("neg", "pos"), {"pos": 3, "neg": 0.5}).tolist() == [0.5, 3.0]
    assert class_weights(labels, ("neg", "pos"), None).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "weights, message",
    [
        ({"neg": 1.0}, "given for 'neg', but the classes are 'neg', 'pos'. Give one for each"),
        ({"neg": 1.0, "pos": 1.0, "other": 1.0}, "given for 'neg', 'other', 'pos'"),
        ({"neg": 1.0, "pos": 0.0}, "weight of class 'pos' must be positive and finite, not 0.0"),
        ({"neg": float("nan"), "pos": 1.0}, "weight of class 'neg' must be positive and finite, not nan"),
        ("equal", "must be 'balanced', a mapping or None, not 'equal'"),
        ("balanced", "Class 'pos' has no example"),
    ],
)
def test_weights_that_can_not_be_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        class_weights(np.array([0, 0]), ("neg", "pos"), weights)
