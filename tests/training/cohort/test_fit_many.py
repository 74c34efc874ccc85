"""Runs of a cohort against the same runs, each trained alone by `fit`."""

import contextlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.imdb.runs.soak import compare_runs
from recurrent.training import (
    BatchIterator,
    EpochEnd,
    ExampleReader,
    NonFiniteError,
    Plan,
    RunDirectory,
    fit,
    fit_many,
    init_state,
    make_cohort_mesh,
    make_cohort_steps,
    make_mesh,
    make_train_steps,
)
from recurrent.training import chunk as chunks
from recurrent.training.reader_feed import ReaderFeed
from tests.training.conftest import FEATURES, make_experiment, make_programs, objective

SEEDS = (0, 3, 5)


@pytest.fixture(scope="module")
def cohort_steps():
    """Compiled once: one run after the other on each device, and side by side."""
    optimizer, mesh = make_programs(2, False).optimizer, make_cohort_mesh(len(SEEDS), 2)
    return {
        is_vmapped: make_cohort_steps(objective, optimizer, mesh, is_vmapped=is_vmapped) for is_vmapped in (False, True)
    }


def starts(seeds=SEEDS):
    """Initial states that differ between the runs."""
    made = make_experiment()
    of_seed = {seed: np.random.default_rng(seed).normal(size=FEATURES).astype(np.float32) for seed in seeds}
    return [
        init_state({"weights": jnp.asarray(of_seed[seed]), "bias": jnp.zeros(())}, made.optimizer) for seed in seeds
    ]


def plans(seeds=SEEDS, **changes):
    return [make_experiment(seed=seed, **changes).plan for seed in seeds]


def train(steps, folder, max_events=None, trainer=None, seeds=SEEDS, should_stop=lambda: False, **changes):
    """Trains a cohort; `max_events` abandons it there, without the saves that a signal would bring."""
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(RunDirectory(folder / str(seed))) for seed in seeds]
        states = [run.resume(start).state for run, start in zip(runs, starts(seeds), strict=True)]
        trainer = trainer or make_experiment().trainer
        events = fit_many(steps, trainer, states, plans(seeds, **changes), runs, should_stop=should_stop)
        return list(itertools.islice(events, max_events))


def train_alone(folder, seeds=SEEDS, trainer=None, **changes):
    trainer = trainer or make_experiment().trainer
    for seed, start, plan in zip(seeds, starts(seeds), plans(seeds, **changes), strict=True):
        with RunDirectory(folder / str(seed)) as run:
            fit(trainer, run.resume(start).state, plan, run).finish()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    train_alone(folder)
    return folder


def assert_equal_bits(one, other, seeds=SEEDS):
    for seed in seeds:
        assert compare_runs(one / str(seed), other / str(seed), starts()[0]) == []


def test_each_run_has_the_bits_it_has_alone(alone, cohort_steps, tmp_path):
    events = train(cohort_steps[False], tmp_path)
    assert_equal_bits(alone, tmp_path)
    ends = [(event.run, event.event.record.epoch) for event in events if isinstance(event.event, EpochEnd)]
    assert sorted(ends) == [(run, epoch) for run in range(3) for epoch in (1, 2, 3)]


def test_runs_side_by_side_are_those_trained_alone(alone, cohort_steps, tmp_path):
    train(cohort_steps[True], tmp_path)
    for seed in SEEDS:
        with RunDirectory(alone / str(seed)) as one, RunDirectory(tmp_path / str(seed)) as other:
            of_one, of_other = (run.latest.restore(15, starts()[0]) for run in (one, other))
            # `residue` is the rounding error of the sums, and as large as their last bit.
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=4e-6), of_one, of_other)


@pytest.mark.parametrize("max_events", [2, 5, 9, 13, 20])
def test_a_cohort_abandoned_anywhere_resumes_to_the_same_bits(alone, cohort_steps, tmp_path, max_events):
    train(cohort_steps[False], tmp_path, max_events)
    train(cohort_steps[False], tmp_path)
    assert_equal_bits(alone, tmp_path)


def test_runs_at_different_steps_are_resumed_together(alone, cohort_steps, tmp_path):
    for seed, start, plan, num_events in zip(SEEDS, starts(), plans(), (0, 3, 7), strict=True):
        with RunDirectory(tmp_path / str(seed)) as run:
            list(itertools.islice(fit(make_experiment().trainer, run.resume(start).state, plan, run), num_events))
    train(cohort_steps[False], tmp_path)
    assert_equal_bits(alone, tmp_path)


def test_a_run_of_a_cohort_is_resumed_alone(alone, cohort_steps, tmp_path):
    train(cohort_steps[False], tmp_path, max_events=8)
    train_alone(tmp_path)
    assert_equal_bits(alone, tmp_path)


def reading():
    """A trainer whose examples are read while it trains."""
    trainer = make_experiment().trainer

    def take(rows):
        return jax.tree.map(lambda leaf: leaf[rows], trainer.examples)

    return trainer._replace(examples=ExampleReader(take, len(trainer.examples.x)))


@pytest.fixture
def short_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "_MAX_CHUNK", 3)


@pytest.mark.parametrize("max_events", [0, 9])
def test_runs_that_read_their_examples_have_the_bits_of_those_in_memory(
    alone, cohort_steps, short_chunks, tmp_path, max_events
):
    """Also where they stand at different steps, and some of these were taken in memory."""
    train(cohort_steps[False], tmp_path, max_events)
    train_alone(tmp_path, SEEDS[:1], reading(), epochs=2)
    train(cohort_steps[False], tmp_path, 5, reading())
    train(cohort_steps[False], tmp_path, trainer=reading())
    assert_equal_bits(alone, tmp_path)


def test_runs_that_read_their_examples_side_by_side_are_those_in_memory(cohort_steps, short_chunks, tmp_path):
    train(cohort_steps[True], tmp_path / "memory")
    train(cohort_steps[True], tmp_path / "read", trainer=reading())
    for seed in SEEDS:
        with RunDirectory(tmp_path / "memory" / str(seed)) as one, RunDirectory(tmp_path / "read" / str(seed)) as other:
            of_one, of_other = (run.latest.restore(15, starts()[0]) for run in (one, other))
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=4e-6), of_one, of_other)


@pytest.mark.fault(33)
@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("failing", SEEDS)
def test_all_runs_are_saved_when_reading_fails(
    alone, cohort_steps, short_chunks, tmp_path, monkeypatch, is_full, failing
):
    """Also where the first of them can't be saved; the error of the reader is the one that is raised."""
    save, serve, number = RunDirectory.save, ReaderFeed.serve, SEEDS.index(failing)
    feeds = []

    def serve_until_it_fails(feed, step):
        feeds.extend([] if feed in feeds else [feed])  # the first serves come in the order of the runs
        if step < 6 or feed is not feeds[number]:
            return serve(feed, step)
        if is_full:
            monkeypatch.setattr(RunDirectory, "save", refuse_the_first)
        raise OSError(5, "Input/output error", "shard-3")

    def refuse_the_first(run, *arguments):
        if run.path.name == str(SEEDS[0]):
            raise OSError(28, "No space left on device")
        save(run, *arguments)

    monkeypatch.setattr(ReaderFeed, "serve", serve_until_it_fails)
    with pytest.raises(OSError, match="shard-3") as caught:
        train(cohort_steps[False], tmp_path, trainer=reading(), save_every=100)
    monkeypatch.undo()
    notes = getattr(caught.value, "__notes__", [])
    assert ["No space left" in note and f"{tmp_path / str(SEEDS[0])} " in note for note in notes] == [True] * is_full
    first, *others = (RunDirectory(tmp_path / str(seed)).latest.sealed_steps()[-1] for seed in SEEDS)
    assert (first > 0, first < min(others)) == (True, is_full)
    train(cohort_steps[False], tmp_path, trainer=reading())
    assert_equal_bits(alone, tmp_path)


def test_a_request_to_stop_saves_every_run(cohort_steps, tmp_path):
    seen = []
    events = train(cohort_steps[False], tmp_path, should_stop=lambda: bool(seen) or seen.append(1))
    steps = {event.run: event.event.step for event in events}
    for number, seed in enumerate(SEEDS):
        assert RunDirectory(tmp_path / str(seed)).latest.sealed_steps()[-1] == steps[number] > 0


@pytest.mark.parametrize("is_vmapped", [False, True])
def test_a_run_that_is_not_finite_stops_alone(alone, cohort_steps, tmp_path, is_vmapped):
    def broken_starts():
        first, second, third = starts()
        return [first, second._replace(params={**second.params, "weights": jnp.full(FEATURES, 3e38)}), third]

    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(RunDirectory(tmp_path / str(seed))) for seed in SEEDS]
        states = [run.resume(start).state for run, start in zip(runs, broken_starts(), strict=True)]
        training = fit_many(cohort_steps[is_vmapped], make_experiment().trainer, states, plans(), runs)
        with pytest.raises(NonFiniteError, match="not finite in the step after step 0 "):
            training.finish()
        assert [int(state.step) for state in training.states] == [15, 0, 15]
    if not is_vmapped:
        assert_equal_bits(alone, tmp_path, (SEEDS[0], SEEDS[2]))


def test_runs_of_different_numbers_share_a_program(tmp_path):
    """Plain gradient descent at two rates, against a loop of its own."""
    made, rates = make_experiment(), (0.5, 0.125)
    mesh = make_mesh(2, jax.devices()[:2])
    steps = make_cohort_steps(objective, lambda numbers: optax.sgd(numbers["rate"]), make_cohort_mesh(len(rates), 2))
    optimizer = optax.sgd(1.0)
    start = init_state(made.start.params, optimizer)
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(RunDirectory(tmp_path / str(rate))) for rate in rates]
        numbers = [{"rate": np.float32(rate)} for rate in rates]
        found = fit_many(steps, made.trainer, [start, start], plans((0, 0)), runs, numbers).finish()
    for rate, state in zip(rates, found, strict=True):
        alone = make_train_steps(objective, optax.sgd(rate), mesh)
        with RunDirectory(tmp_path / f"{rate} alone") as run:
            expected = fit(made.trainer._replace(steps=alone), start, plans((0,))[0], run).finish()
        jax.tree.map(np.testing.assert_array_equal, state.params, jax.device_get(expected.params))


def test_a_plan_that_is_fulfilled_leaves_the_others(cohort_steps, tmp_path):
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(RunDirectory(tmp_path / str(seed))) for seed in SEEDS]
        several = [
            make_experiment(seed=seed, epochs=epochs).plan for seed, epochs in zip(SEEDS, (1, 3, 2), strict=True)
        ]
        found = fit_many(cohort_steps[False], make_experiment().trainer, starts(), several, runs).finish()
    assert [int(state.step) for state in found] == [5, 15, 10]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plans": []}, r"one start, plan and run directory a run, not \{'starts': 3, 'plans': 0, 'runs': 3"),
        (
            {"plans": [Plan(3, 20, 0, 2), Plan(3, 10, 1, 2), Plan(3, 20, 2, 2)]},
            "batch_size and num_shards must be equal",
        ),
        ({"starts": [1, 2, 3]}, "starts must hold TrainStates, not a int"),
        ({"examples": BatchIterator(iter([]), 3)}, "needs examples in arrays"),
    ],
)
def test_what_does_not_fit_is_refused(cohort_steps, tmp_path, change, message):
    trainer = make_experiment().trainer
    arguments = {"starts": starts(), "plans": plans(), "runs": [RunDirectory(tmp_path / str(seed)) for seed in SEEDS]}
    if "examples" in change:
        trainer = trainer._replace(examples=change.pop("examples"))
    with pytest.raises(ValueError, match=message):
        fit_many(cohort_steps[False], trainer, **(arguments | change))


def test_numbers_that_are_missing_or_differ_in_name_are_refused(tmp_path):
    made, runs = make_experiment(), [RunDirectory(tmp_path / str(seed)) for seed in SEEDS]
    steps = make_cohort_steps(objective, lambda numbers: optax.sgd(numbers["rate"]), make_cohort_mesh(len(SEEDS), 2))
    with pytest.raises(ValueError, match="make an optimizer from a run's numbers: pass `numbers`"):
        fit_many(steps, made.trainer, starts(), plans(), runs)
    with pytest.raises(ValueError, match="numbers must have the same names in all runs"):
        fit_many(steps, made.trainer, starts(), plans(), runs, [{"rate": 0.5}, {"rate": 0.5}, {"rat": 0.5}])


def test_states_of_other_shapes_are_refused(cohort_steps, tmp_path):
    runs = [RunDirectory(tmp_path / str(seed)) for seed in SEEDS]
    other = init_state({"weights": jnp.zeros(7), "bias": jnp.zeros(())}, make_experiment().optimizer)
    with pytest.raises(ValueError, match="differ in structure, shapes or dtypes"):
        fit_many(cohort_steps[False], make_experiment().trainer, [*starts()[:2], other], plans(), runs)
