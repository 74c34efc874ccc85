"""Averaged params against a loop in NumPy, and what they are used for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recurrent.training import (
    RunDirectory,
    epoch_batches,
    exponential_average,
    fit,
    init_state,
    make_mesh,
    make_train_steps,
    replicate,
    stream,
    uniform_average,
)
from tests.training.conftest import objective

AVERAGES = {"exponential": exponential_average(0.75), "uniform": uniform_average(2)}


def trained(made, average, num_steps):
    """Takes steps one by one; returns the params after each, and the last average."""
    mesh, optimizer = make_mesh(1), optax.rmsprop(0.1)
    steps = make_train_steps(objective, optimizer, mesh, average=average)
    state = replicate(init_state(made.start.params, optimizer, has_average=True), mesh)
    batches = epoch_batches(0, 0, 90, 20, 1)
    examples, key = replicate(jax.tree.map(jnp.asarray, made.examples), mesh), replicate(stream(0, "noise"), mesh)
    seen = []
    for _ in range(num_steps):
        state = steps(state, examples, batches, key, jnp.int32(1))
        seen.append(np.asarray(state.params["weights"], np.float64))
    return seen, np.asarray(state.average["weights"])


def test_the_exponential_average_is_that_of_a_loop(experiment):
    seen, average = trained(experiment(), exponential_average(0.75), 5)
    expected = np.zeros(3)
    for step, params in enumerate(seen):
        expected += max(0.25, 1 / (step + 1)) * (params - expected)
    np.testing.assert_allclose(average, expected, rtol=1e-6)


def test_the_uniform_average_is_the_mean_from_its_start_on(experiment):
    seen, average = trained(experiment(), uniform_average(2), 5)
    np.testing.assert_allclose(average, np.mean(seen[2:], axis=0), rtol=1e-6)
    seen, average = trained(experiment(), uniform_average(9), 5)
    np.testing.assert_array_equal(average, seen[-1].astype(np.float32))


@pytest.mark.parametrize("max_events", [3, 7])
def test_evaluation_gets_the_average_and_a_resume_continues_it(experiment, tmp_path, max_events):
    made = experiment()
    optimizer = optax.rmsprop(1e-2, decay=0.9, eps=1e-7)
    steps = make_train_steps(objective, optimizer, made.trainer.mesh, average=exponential_average(0.75))
    start = replicate(init_state(made.start.params, optimizer, has_average=True), made.trainer.mesh)
    given = []

    def evaluate(params):
        given.append(jax.device_get(params))
        return made.trainer.evaluate(params)

    trainer = made.trainer._replace(steps=steps, evaluate=evaluate)
    with RunDirectory(tmp_path / "whole") as run:
        final = fit(trainer, run.resume(start).state, made.plan, run).finish()
        best = run.best_params(like=start.params)
    jax.tree.map(np.testing.assert_array_equal, given[-1], jax.device_get(final.weights))
    assert not np.array_equal(final.weights["weights"], final.params["weights"])
    assert any(np.array_equal(best["weights"], each["weights"]) for each in given)
    with RunDirectory(tmp_path / "torn") as run:
        training = fit(trainer, run.resume(start).state, made.plan, run)
        for _ in range(max_events):
            next(training)
    with RunDirectory(tmp_path / "torn") as run:
        again = fit(trainer, run.resume(start).state, made.plan, run).finish()
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(final), jax.device_get(again))


def test_rates_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\), not 1"):
        exponential_average(1)
    with pytest.raises(ValueError, match="start must be an integer of at least 0, not -1"):
        uniform_average(-1)
