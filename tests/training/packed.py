"""A tiny experiment on sequences that share rows, which are filled while it trains."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import recurrent
from recurrent.packing import Sequences, fill_rows, plan_rows, run_packed
from recurrent.training import (
    ExampleReader,
    Plan,
    Trainer,
    binary_cross_entropy,
    init_state,
    make_mesh,
    make_train_steps,
    replicate,
)
from tests.training.conftest import Experiment

LENGTHS = np.random.default_rng(0).integers(1, 7, 120)
STARTS = np.cumsum(LENGTHS) - LENGTHS
STEPS = np.random.default_rng(1).normal(size=(LENGTHS.sum(), 2)).astype(np.float32)
LABELS = np.float32(np.add.reduceat(STEPS[:, 0], STARTS) > 0)
PLAN = plan_rows(LENGTHS, 8)


def read(numbers):
    places = [np.arange(STARTS[each], STARTS[each] + LENGTHS[each]) for each in numbers]
    return Sequences(STEPS[np.concatenate(places)], LABELS[numbers])


def read_rows(rows):
    return fill_rows(PLAN, rows, read)


def objective(params, batch, key):
    rows = batch.examples
    _, final = run_packed(recurrent.simple_rnn, params["cell"], rows.steps, rows.packing(), backend="plain")
    return binary_cross_entropy(final.hidden @ params["kernel"], rows.each.ravel(), rows.weight(batch.weight))


@functools.cache
def make_programs(num_devices):
    devices = jax.devices()[:num_devices] if jax.process_count() == 1 else None  # of each process
    mesh, optimizer = make_mesh(2, devices), optax.sgd(0.1)
    return mesh, optimizer, make_train_steps(objective, optimizer, mesh)


def make_packed(num_devices=2, is_in_memory=False, **plan):
    mesh, optimizer, steps = make_programs(num_devices)
    examples = read_rows(np.arange(len(PLAN))) if is_in_memory else ExampleReader(read_rows, len(PLAN))
    trainer = Trainer(steps, examples, lambda params: {"loss": float(jnp.abs(params["kernel"]).max())}, mesh)
    params = {"cell": recurrent.simple_rnn.init(jax.random.key(0), 2, 3), "kernel": jnp.full(3, 0.1)}
    start = replicate(init_state(params, optimizer), mesh)
    settings = {"epochs": 3, "batch_size": 8, "seed": 0, "num_shards": 2, "save_every": 3, **plan}
    return Experiment(trainer, start, Plan(**settings), optimizer, examples)
