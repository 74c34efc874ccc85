"""A tiny experiment: logistic regression on data that it can learn, so that whole runs take a moment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recurrent.training import (
    Plan,
    Trainer,
    binary_cross_entropy,
    init_state,
    make_mesh,
    make_predict,
    make_train_steps,
    replicate,
)

NUM_EXAMPLES, FEATURES = 90, 3


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


def make_experiment(num_devices=2, skip_nonfinite=False, **plan):
    examples, mesh = make_examples(), make_mesh(2, jax.devices()[:num_devices])
    optimizer = optax.rmsprop(1e-2, decay=0.9, eps=1e-7)
    predict = make_predict(forward, mesh, chunk_size=16)

    def evaluate(params):
        logits = predict(params, examples.x).astype(np.float64)
        loss = np.logaddexp(0, -logits * (2 * examples.labels - 1)).mean()
        return float(loss), float(np.mean((logits > 0) == (examples.labels > 0.5)))

    trainer = Trainer(make_train_steps(objective, optimizer, mesh, skip_nonfinite), examples, evaluate, mesh)
    params = {"weights": jnp.zeros(FEATURES), "bias": jnp.zeros(1)}
    params["bias"] = params["bias"][0]
    start = replicate(init_state(params, optimizer), mesh)
    settings = {"epochs": 3, "batch_size": 20, "seed": 0, "num_shards": 2, "save_every": 3, **plan}
    return Experiment(trainer, start, Plan(**settings), optimizer, examples)


@pytest.fixture
def experiment():
    return make_experiment
