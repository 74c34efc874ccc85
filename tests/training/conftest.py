"""A tiny experiment: logistic regression on data that it can learn, so that whole runs take a moment."""

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.imdb.runs.soak import compare_runs
from recurrent.training import (
    Goal,
    Plan,
    Trainer,
    binary_cross_entropy,
    init_state,
    make_mesh,
    make_predict,
    make_train_steps,
    replicate,
)
from tests import forked

ROOT = Path(__file__).parents[2]
NUM_EXAMPLES, FEATURES = 90, 3
GOAL = Goal("acc", "highest")


class Examples(NamedTuple):
    x: np.ndarray
    labels: np.ndarray


class Experiment(NamedTuple):
    trainer: Trainer
    start: object
    plan: Plan
    optimizer: optax.GradientTransformation
    examples: Examples


def forward(params, x):
    return x @ params["weights"] + params["bias"]


def objective(params, batch, key):
    return binary_cross_entropy(forward(params, batch.examples.x), batch.examples.labels, batch.weight)


def make_examples(seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(NUM_EXAMPLES, FEATURES)).astype(np.float32)
    labels = (x @ np.array([1.0, -2.0, 0.5]) + 0.5 * draw.normal(size=NUM_EXAMPLES) > 0).astype(np.float32)
    return Examples(x, labels)


class Programs(NamedTuple):
    """What is compiled, once for all experiments of a process that differ in other things."""

    optimizer: optax.GradientTransformation
    mesh: jax.sharding.Mesh
    steps: Callable
    predict: Callable


@functools.cache
def make_programs(num_devices, skip_nonfinite):
    devices = jax.devices()[:num_devices] if jax.process_count() == 1 else None  # of each process
    mesh = make_mesh(2, devices)
    optimizer = optax.rmsprop(1e-2, decay=0.9, eps=1e-7)
    steps = make_train_steps(objective, optimizer, mesh, skip_nonfinite)
    return Programs(optimizer, mesh, steps, make_predict(forward, mesh, chunk_size=16))


def make_experiment(num_devices=2, skip_nonfinite=False, **plan):
    examples, programs = make_examples(), make_programs(num_devices, skip_nonfinite)

    def evaluate(params):
        logits = programs.predict(params, examples.x).astype(np.float64)
        loss = np.logaddexp(0, -logits * (2 * examples.labels - 1)).mean()
        return {"loss": float(loss), "acc": float(np.mean((logits > 0) == (examples.labels > 0.5)))}

    trainer = Trainer(programs.steps, examples, evaluate, programs.mesh)
    params = {"weights": jnp.zeros(FEATURES), "bias": jnp.zeros(1)}
    params["bias"] = params["bias"][0]
    start = replicate(init_state(params, programs.optimizer), programs.mesh)
    settings = {"epochs": 3, "batch_size": 20, "seed": 0, "num_shards": 2, "save_every": 3, "goal": GOAL, **plan}
    return Experiment(trainer, start, Plan(**settings), programs.optimizer, examples)


@pytest.fixture
def experiment():
    return make_experiment


@pytest.fixture(scope="session")
def child(child_environment):
    """Starts one with some arguments."""

    def start(*arguments, wrapper=(), **options):
        command = [*wrapper, sys.executable, "-m", "tests.training.child", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return forked.Popen(command, env=child_environment, **{"cwd": ROOT, **pipes, **options})

    return start


@pytest.fixture(scope="session")
def train_child(child):
    """Runs it to its end: (exit code, standard output, standard error)."""

    def run(*arguments, **options):
        process = child(*arguments, **options)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors

    return run


@pytest.fixture(scope="session")
def whole_run(train_child, tmp_path_factory):
    """The run that nothing ever happened to."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    code, _, errors = train_child(path)
    assert code == 0, errors
    return path


@pytest.fixture
def assert_equals_whole(whole_run):
    """Says that a run ended bitwise as the one that nothing happened to: records, latest and best checkpoint."""

    def check(path):
        assert compare_runs(whole_run, path, make_experiment().start) == []

    return check
