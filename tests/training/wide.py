"""A wide cell whose units are split over the axis `model` of a mesh, trained by `fit`; on 8 devices.

python -m tests.training.wide RUN [--epochs 3] [--layout split|by-xla|whole] [--stop-after 5]
"""

import argparse
import errno
import json
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import recurrent
from experiments.cluster import asked
from experiments.imdb.runs.soak import compare_runs
from experiments.machine import start_jax
from experiments.processes import joined
from recurrent.sharding import Split, collectives, join_units, split_units
from recurrent.training import (
    ExampleReader,
    Goal,
    Plan,
    RunDirectory,
    Trainer,
    binary_cross_entropy,
    epoch_batches,
    fit,
    init_state,
    make_predict,
    make_train_steps,
    replicate,
    stream,
)
from recurrent.training.checkpoints import folder, parts
from recurrent.training.layout import Layout
from recurrent.training.mesh import place
from recurrent.training.processes import watch
from recurrent.training.step import Rule

NUM_EXAMPLES, TIME, INPUTS, HIDDEN = 36, 5, 3, 8
NUM_DATA, NUM_MODEL = 2, 4
COLUMNS = recurrent.lstm.Params(P(None, "model"), P(None, "model"), P("model"))


class Examples(NamedTuple):
    x: np.ndarray
    label: np.ndarray


def make_examples():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(NUM_EXAMPLES, TIME, INPUTS)).astype(np.float32)
    return Examples(x, (x.sum(axis=(1, 2)) > 0).astype(np.float32))


def make_mesh(layout):
    """The model axis runs over all devices of two processes, where there are two."""
    devices = np.array(jax.devices())  # of process 0 first
    if layout == "whole":
        return Mesh(devices[:1], ("data",), axis_types=(AxisType.Auto,))
    return Mesh(devices.reshape(NUM_MODEL, NUM_DATA).T, ("data", "model"), axis_types=(AxisType.Auto,) * 2)


def final_hidden(layout, params, x):
    if layout != "split":
        return recurrent.run_final(recurrent.lstm, params, x, backend="plain").hidden

    def of_own_units(params, x):
        return recurrent.run_final(Split(recurrent.lstm, "model"), params, x).hidden

    on_model = {"in_specs": (COLUMNS, P()), "out_specs": P(None, "model"), "axis_names": {"model"}}
    return jax.shard_map(of_own_units, **on_model)(params, x)


class Experiment(NamedTuple):
    trainer: Trainer
    start: object
    plan: Plan
    objective: object
    optimizer: object


def make_experiment(layout, epochs=3, is_read=False):
    examples, mesh = make_examples(), make_mesh(layout)
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.rmsprop(1e-2))

    def forward(params, x):
        return final_hidden(layout, params["cell"], x) @ params["head"]

    def objective(params, batch, key):
        return binary_cross_entropy(forward(params, batch.examples.x), batch.examples.label, batch.weight)

    predict = make_predict(forward, mesh, chunk_size=16)

    def evaluate(params):
        logits = predict(params, examples.x).astype(np.float64)
        loss = np.logaddexp(0, -logits * (2 * examples.label - 1)).mean()
        return {"loss": float(loss), "acc": float(np.mean((logits > 0) == (examples.label > 0.5)))}

    reader = ExampleReader(lambda rows: Examples(*(each[rows] for each in examples)), NUM_EXAMPLES)
    trainer = Trainer(make_train_steps(objective, optimizer, mesh), reader if is_read else examples, evaluate, mesh)
    start = init_state(make_params(layout, mesh), optimizer)
    plan = Plan(epochs=epochs, batch_size=8, seed=0, num_shards=2, save_every=3, goal=Goal("loss", "lowest"))
    return Experiment(trainer, start, plan, objective, optimizer)


def make_params(layout, mesh):
    cell = recurrent.lstm.init(jax.random.key(0), INPUTS, HIDDEN)
    head = np.random.default_rng(1).normal(size=HIDDEN).astype(np.float32)
    if layout == "whole":
        return {"cell": cell, "head": jax.numpy.asarray(head)}
    cell = split_units(recurrent.lstm, cell, NUM_MODEL) if layout == "split" else cell
    lie = {"cell": COLUMNS, "head": P("model")}
    return jax.tree.map(
        lambda leaf, spec: put(np.asarray(leaf), NamedSharding(mesh, spec)), {"cell": cell, "head": head}, lie
    )


def put(array, sharding):
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def in_own_order(layout, params):
    """Returns params on the host, in the cell's own order."""
    host = jax.tree.map(np.asarray, params)
    return {**host, "cell": join_units(recurrent.lstm, host["cell"], NUM_MODEL)} if layout == "split" else host


def train(path, layout, epochs=3, stop_after=None, stop=lambda: signal.raise_signal(signal.SIGKILL), is_read=False):
    """Trains in a folder; returns the final state and the best params, or None if it was stopped."""
    experiment = make_experiment(layout, epochs, is_read)
    with RunDirectory(path) as run:
        run.begin({"layout": layout})
        resumed = run.resume(experiment.start)
        training = fit(experiment.trainer, resumed.state, experiment.plan, run)
        for number, _ in enumerate(training, start=1):
            print("event", file=sys.stderr, flush=True)
            if number == stop_after:
                return stop()
        return training.state, run.best_params(experiment.start.params)


def examine(path):
    """Trains in all layouts, and once with a stop in between; returns what a test compares."""
    found = {}
    for layout in ("whole", "split", "by-xla"):
        state, best = train(path / layout, layout)
        records = RunDirectory(path / layout).records()
        found[layout] = {
            "losses": [[each.training["loss"], each.validation["loss"]] for each in records],
            "params": [leaf.tolist() for leaf in jax.tree.leaves(in_own_order(layout, state.params))],
            "best": [leaf.tolist() for leaf in jax.tree.leaves(in_own_order(layout, best))],
            "parts": sorted({leaf.sharding.shard_shape(leaf.shape)[-1] for leaf in jax.tree.leaves(state.params)}),
        }
    train(path / "stopped", "split", stop_after=5, stop=lambda: None)
    train(path / "stopped", "split")
    found["differences"] = compare_runs(path / "split", path / "stopped", make_experiment("split").start)
    experiment = make_experiment("split")
    by_data = put(np.zeros((2, 3), np.float32), NamedSharding(experiment.trainer.mesh, P("data")))
    state = experiment.start._replace(params={**experiment.start.params, "head": by_data})
    with RunDirectory(path / "refused") as run:
        try:
            fit(experiment.trainer, state, experiment.plan, run)
        except ValueError as error:
            found["refused"] = str(error)
    layout = Layout.of(experiment.start, experiment.trainer.mesh)
    found["collectives"] = [[each.kind, each.num_bytes, each.num_devices] for each in exchanged(experiment, layout)]
    return found


def exchanged(experiment, layout):
    """Returns the collectives of the steps. In a program of programs, the steps can't see how their state lies."""
    rule = Rule(experiment.objective, optax.with_extra_args_support(experiment.optimizer), False, None, layout)
    mesh = experiment.trainer.mesh
    batches = epoch_batches(seed=0, epoch=0, num_examples=NUM_EXAMPLES, batch_size=8, num_shards=2)
    steps = jax.shard_map(
        rule.take_steps,
        mesh=mesh,
        in_specs=(P(), P(), P(None, "data"), P(), P()),
        out_specs=P(),
        axis_names={"data"},
        check_vma=False,
    )
    arguments = experiment.trainer.examples, batches, stream(0, "noise"), jax.numpy.int32(2)
    placed = place(experiment.start, mesh), *replicate(arguments, mesh)
    return collectives(jax.jit(steps, out_shardings=layout.state), *placed)


def refuse(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--layout", default="split")
    parser.add_argument("--stop-after", type=int, help="SIGKILL after so many events")
    parser.add_argument("--devices", type=int, default=8, help="of this process")
    parser.add_argument("--coordinator")
    parser.add_argument("--num-processes", type=int)
    parser.add_argument("--process-id", type=int)
    parser.add_argument("--full-disk", action="store_true", help="finds no room for a checkpoint")
    parser.add_argument("--no-write", action="store_true", help="finds room, and then can't write")
    parser.add_argument("--connect-seconds", type=int, default=50)
    parser.add_argument("--read", action="store_true", help="reads the examples while it trains")
    parser.add_argument("--examine", action="store_true")
    options = parser.parse_args(arguments)
    cluster = asked(options.coordinator, options.num_processes, options.process_id, options.connect_seconds)
    start_jax("cpu", options.devices, cluster=cluster)
    watch.LIMIT_SECONDS = watch.GRACE_SECONDS = 6.0
    if options.full_disk:
        folder.ROOM_BYTES = 1 << 60
    if options.no_write:
        parts.write_arrays = refuse
    if options.examine:
        print(json.dumps(examine(options.path)))
        return
    with joined():
        train(options.path, options.layout, options.epochs, options.stop_after, is_read=options.read)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
