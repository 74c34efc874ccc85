"""All contestants compute the same thing from the same weights, or their times would mean nothing."""

import importlib

import numpy as np
import pytest

from experiments.speed.contestants import NAMES
from experiments.speed.task import GATES, Task, block, weights


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("name", NAMES[1:])
def test_losses_and_logits_equal_ours(cell, name, relaxed):
    task = Task(cell=cell, batch=4, time=6, width=3, vocabulary=20)
    with relaxed():
        ours, theirs = (
            importlib.import_module(f"experiments.speed.contestants.{each}").make(task, weights(task))
            for each in ("ours", name)
        )
        # The GRU of linen has one bias where the others have two, which learn twice as fast together.
        tolerance = 1e-3 if (cell, name) == ("gru", "linen") else 1e-5
        for turn in range(2):
            data = block(task, turn)
            assert theirs.train(data) == pytest.approx(ours.train(data), rel=tolerance)
            np.testing.assert_allclose(theirs.predict(data), ours.predict(data), rtol=10 * tolerance, atol=tolerance)
