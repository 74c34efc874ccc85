import numpy as np
import pytest

from experiments.imdb.report.mistakes import worst_mistakes


def test_each_review_is_there_once_with_the_run_that_is_most_wrong():
    labels = np.array([1, 0, 1, 0, 1], np.float32)
    logits = {"a": np.array([-1.0, -2.0, 3.0, 4.0, 0.5]), "b": np.array([-2.0, 0.5, 3.0, 1.0, 9.0])}
    found = worst_mistakes(logits, labels)
    assert [(each.example, each.run, each.num_wrong) for each in found] == [(3, "a", 2), (0, "b", 2), (1, "b", 1)]
    losses = [-np.log(1 - 1 / (1 + np.exp(-4.0))), -np.log(1 / (1 + np.exp(2.0))), -np.log(1 - 1 / (1 + np.exp(-0.5)))]
    assert [each.loss for each in found] == pytest.approx(losses)
    assert [each.probability for each in found] == pytest.approx([1 / (1 + np.exp(-x)) for x in (4.0, -2.0, 0.5)])
    assert [each.label for each in found] == [0, 1, 0]
    assert [each.example for each in worst_mistakes(logits, labels, count=1)] == [3]


def test_a_run_that_is_always_right_has_no_mistakes():
    assert worst_mistakes({"a": np.array([1.0, -1.0])}, np.array([1, 0], np.float32)) == []
