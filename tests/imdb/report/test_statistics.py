import math

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, roc_curve

from experiments.imdb.report.statistics import Spread, accuracy_by, difference, reliability, roc, roc_at, spread
from experiments.imdb.training.metrics import calibration_error, sigmoid, wilson


@pytest.fixture(params=[0, 1])
def answers(request):
    draw = np.random.default_rng(request.param)
    labels = (draw.random(400) < 0.4).astype(np.float64)
    logits = 2 * labels - 1 + draw.normal(size=400)
    return (logits if request.param else np.round(logits, 1)), labels  # rounded: many are equal


def test_the_interval_of_a_mean_is_student_s():
    values = [0.88, 0.9, 0.85, 0.91]
    found = spread(values, 5000)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean, found.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (found.low, found.high, found.kind) == (pytest.approx(low), pytest.approx(high), "t")


def test_the_interval_of_few_seeds_ends_where_accuracies_end():
    found = spread([0.8, 0.95], 5000)
    assert found.low == pytest.approx(stats.t.interval(0.95, 1, loc=0.875, scale=stats.sem([0.8, 0.95]))[0].clip(0))
    assert found.high == 1.0


def test_the_interval_of_one_seed_is_wilson_s():
    assert spread([0.886], 5000) == (0.886, None, *wilson(4430, 5000), "wilson", 0)


def test_the_interval_of_a_difference_is_welch_s():
    one, other = [0.88, 0.9, 0.85, 0.91], [0.91, 0.92, 0.915]
    found = difference(spread(one, 5000), spread(other, 5000), 4, 3)
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert found == pytest.approx((np.mean(one) - np.mean(other), *expected))


def test_a_difference_from_one_seed_has_no_interval():
    found = difference(spread([0.9], 5000), spread([0.8, 0.85], 5000), 1, 2)
    assert (found.mean, found.low, found.high) == (pytest.approx(0.075), None, None)
    same = Spread(0.9, 0.0, 0.9, 0.9, "t")
    assert difference(same, same._replace(mean=0.8), 2, 2) == pytest.approx((0.1, 0.1, 0.1))


def test_accuracies_that_are_not_finite_are_left_out_and_counted():
    assert spread([0.886, math.nan], 5000) == (*spread([0.886], 5000)[:5], 1)
    assert spread([0.8, math.nan, 0.95, math.inf], 5000) == (*spread([0.8, 0.95], 5000)[:5], 2)
    for none in ([math.nan], [math.nan, math.inf]):
        found = spread(none, 5000)
        assert (found.deviation, found.num_left_out) == (None, len(none))
        assert all(map(math.isnan, (found.mean, found.low, found.high)))


def test_the_roc_is_that_of_scikit_learn(answers):
    found = roc(*answers)
    x, y, _ = roc_curve(answers[1], answers[0], drop_intermediate=False)
    np.testing.assert_allclose(found.false_positive_rate, x)
    np.testing.assert_allclose(found.true_positive_rate, y)
    fine = np.linspace(0, 1, 100_001)
    assert auc(fine, roc_at(found, fine)) == pytest.approx(auc(x, y), abs=1e-4)
    # At a rate where the curve goes straight up, it is the upper end that a threshold reaches.
    assert roc_at(found, np.array([0.0]))[0] == max(y[x == 0])


def test_a_label_that_does_not_occur_has_no_rate():
    found = roc(np.array([0.5, -0.5]), np.ones(2))
    assert np.isnan(found.false_positive_rate).all()
    np.testing.assert_array_equal(found.true_positive_rate, [0, 0.5, 1])


def test_reliability_is_that_of_scikit_learn(answers):
    found = reliability(*answers)
    share, probability = calibration_curve(answers[1], sigmoid(answers[0]), n_bins=15)
    is_there = found.count > 0
    np.testing.assert_allclose(found.share[is_there], share)
    np.testing.assert_allclose(found.probability[is_there], probability)
    assert np.isnan(found.share[~is_there]).all()
    gaps = np.abs(found.share - found.probability)[is_there] * found.count[is_there]
    assert gaps.sum() / 400 == pytest.approx(calibration_error(*answers))


def test_accuracy_by_bin_counts_each_example_once():
    values = np.array([0.0, 99.0, 100.0, 150.0, 200.0, 500.0])
    found = accuracy_by(values, (100, 200, 300), np.array([True, False, True, True, False, True]))
    np.testing.assert_array_equal(found.count, [2, 2, 1, 1])
    np.testing.assert_array_equal(found.accuracy, [0.5, 1, 0, 1])
    assert math.isnan(accuracy_by(values, (1000,), values > 0).accuracy[1])
