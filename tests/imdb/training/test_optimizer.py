import numpy as np
import pytest

from experiments.imdb.training.optimizer import make_optimizer, make_schedule
from experiments.imdb.training.recipes import Recipe


def test_the_default_rate_is_constant():
    assert make_schedule(Recipe(), 157) == 1e-3


@pytest.mark.parametrize(("schedule", "halfway"), [("linear", 0.5), ("cosine", 0.5), ("constant", 1.0)])
def test_a_schedule_rises_and_falls_as_it_says(schedule, halfway):
    rate = make_schedule(Recipe(epochs=3, schedule=schedule, warmup_steps=10, learning_rate=2.0), steps_per_epoch=10)
    np.testing.assert_allclose([rate(0), rate(5), rate(10)], [0.0, 1.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(rate(20), 2.0 * halfway, rtol=1e-6)
    np.testing.assert_allclose(rate(30), 2.0 if schedule == "constant" else 0.0, atol=1e-6)


def test_a_warm_up_that_leaves_no_step_is_refused():
    with pytest.raises(ValueError, match="must be below 30"):
        make_schedule(Recipe(epochs=3, warmup_steps=30), steps_per_epoch=10)


def test_clipping_scales_the_whole_gradient():
    gradient = {"a": np.array([3.0], np.float32), "b": np.array([4.0], np.float32)}
    optimizer = make_optimizer(Recipe(clip_norm=1.0, epsilon=1e-7), 10)
    updates, _ = optimizer.update(gradient, optimizer.init(gradient), gradient)
    expected = -1e-3 * 0.6 / np.sqrt(0.1 * 0.6**2 + 1e-7)
    np.testing.assert_allclose(updates["a"], expected, rtol=1e-5)
