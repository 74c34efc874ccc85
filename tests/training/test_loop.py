import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recurrent.training import (
    EpochEnd,
    Goal,
    NonFiniteError,
    Progress,
    RunDirectory,
    Stopped,
    epoch_batches,
    fit,
    init_state,
    make_train_steps,
)
from tests.training.checkpoints.test_leaves import assert_equal
from tests.training.conftest import objective
from tests.training.test_step import reference, train


def run_to_the_end(experiment, path, max_events=None):
    """Trains; `max_events` abandons the run there, without the save that a signal would bring."""
    with RunDirectory(path) as run:
        events = fit(experiment.trainer, run.resume(experiment.start).state, experiment.plan, run)
        return list(itertools.islice(events, max_events))


def outcome(experiment, path):
    with RunDirectory(path) as run:
        state = run.latest.restore(run.latest.steps()[-1], experiment.start)
        return (path / "records.jsonl").read_bytes(), run.best.steps(), jax.device_get(state)


def assert_same(one, other):
    assert one[:2] == other[:2]
    jax.tree.map(np.testing.assert_array_equal, one[2], other[2])


def test_records_hold_the_run(experiment, tmp_path):
    events = run_to_the_end(experiment(), tmp_path)
    ends = [event for event in events if isinstance(event, EpochEnd)]
    assert [(end.record.epoch, end.record.step) for end in ends] == [(1, 5), (2, 10), (3, 15)]
    assert ends[-1].record.training["loss"] < ends[0].record.training["loss"] < np.log(2)
    with RunDirectory(tmp_path) as run:
        assert run.records() == [end.record for end in ends]
        assert [timing.steps for timing in run.timings()] == [5, 5, 5]
        assert run.best.steps() == [max(ends, key=lambda end: end.record.validation["acc"]).record.step]


@pytest.mark.parametrize("max_events", range(1, 12))
def test_a_run_abandoned_anywhere_resumes_to_the_same_bits(experiment, tmp_path, max_events):
    run_to_the_end(experiment(), tmp_path / "whole")
    run_to_the_end(experiment(), tmp_path / "torn", max_events)
    run_to_the_end(experiment(save_every=4), tmp_path / "torn")
    assert_same(outcome(experiment(), tmp_path / "whole"), outcome(experiment(), tmp_path / "torn"))


def test_one_and_two_devices_give_the_same_bits(experiment, tmp_path):
    for num_devices in (1, 2):
        run_to_the_end(experiment(num_devices), tmp_path / str(num_devices))
    assert_same(*(outcome(experiment(), tmp_path / str(num_devices)) for num_devices in (1, 2)))


def test_a_state_with_typed_keys_and_empty_arrays_resumes_to_the_same_bits(experiment, tmp_path, relaxed):
    optimizer = optax.noisy_sgd(1e-2, key=jax.random.key(3))

    def finish(path, max_events=None):
        made = experiment(epochs=2)
        steps = make_train_steps(objective, optimizer, made.trainer.mesh)
        start = init_state({**made.start.params, "adapter": jnp.zeros((0, 3))}, optimizer)
        run_to_the_end(made._replace(trainer=made.trainer._replace(steps=steps), start=start), path, max_events)
        with RunDirectory(path) as run:
            return run.resume(start).state

    with relaxed():
        whole = finish(tmp_path / "whole")
        finish(tmp_path / "torn", max_events=3)
        assert_equal(finish(tmp_path / "torn"), whole)


@pytest.mark.parametrize("missing", ["record", "best"])
def test_what_a_kill_left_out_at_an_epochs_end_is_done_again(experiment, tmp_path, missing):
    run_to_the_end(experiment(), tmp_path)
    expected = outcome(experiment(), tmp_path)
    with RunDirectory(tmp_path) as run:
        run.best.delete(run.best.steps()[-1])
        if missing == "record":
            lines = (tmp_path / "records.jsonl").read_text().splitlines(keepends=True)
            (tmp_path / "records.jsonl").write_text("".join(lines[:2]))
    run_to_the_end(experiment(), tmp_path)
    found = outcome(experiment(), tmp_path)
    assert found[0] == expected[0]
    if expected[1] == [15]:
        assert found[1] == [15]


def test_the_state_given_stays_usable(experiment, tmp_path):
    once = experiment()
    for name in ("one", "two"):
        run_to_the_end(once, tmp_path / name)
    assert_same(outcome(experiment(), tmp_path / "one"), outcome(experiment(), tmp_path / "two"))


@pytest.mark.fault(27)
def test_a_finished_run_has_nothing_to_do(experiment, tmp_path):
    run_to_the_end(experiment(), tmp_path)
    assert run_to_the_end(experiment(), tmp_path) == []


def test_a_request_to_stop_saves_the_step_it_comes_at(experiment, tmp_path):
    seen = []
    with RunDirectory(tmp_path) as run:
        plan = experiment()
        for event in fit(
            plan.trainer, run.resume(plan.start).state, plan.plan, run, should_stop=lambda: len(seen) == 2
        ):
            seen.append(event)
        assert isinstance(seen[-1], Progress)
        assert run.latest.steps()[-1] == seen[-1].step


def test_patience_ends_a_run_that_stalls(experiment, tmp_path):
    stalled = experiment(epochs=9, patience=2)
    trainer = stalled.trainer._replace(evaluate=lambda params: {"acc": 0.5})
    run_to_the_end(stalled._replace(trainer=trainer), tmp_path)
    with RunDirectory(tmp_path) as run:
        assert len(run.records()) == 4  # the first is the best, two are forgiven, one too many


def with_nan(experiment, example=17):
    """Puts a NaN into an example."""
    x = experiment.examples.x.copy()
    x[example] = np.nan
    return experiment._replace(trainer=experiment.trainer._replace(examples=experiment.examples._replace(x=x)))


def batch_of(experiment, example):
    order = epoch_batches(experiment.plan.seed, 0, 90, 20, 1)
    (number,) = (n for n, rows in enumerate(order.rows[:, 0]) if example in rows[order.weight[n, 0] > 0])
    return number, sorted(order.rows[number, 0][order.weight[number, 0] > 0].tolist())


@pytest.mark.fault(15)
def test_a_number_that_is_not_finite_stops_the_run_before_the_update(experiment, tmp_path):
    number, examples = batch_of(experiment(), 17)
    with pytest.raises(NonFiniteError, match=f"after step {number} .*17") as caught:
        run_to_the_end(with_nan(experiment(save_every=100)), tmp_path)
    assert (caught.value.step, caught.value.epoch, caught.value.examples) == (number, 1, examples)
    with RunDirectory(tmp_path) as run:
        assert run.latest.steps() == [number]
        saved = run.latest.restore(number, experiment().start)
    expected = train(experiment(), [number])
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(saved), expected)


@pytest.mark.fault(15)
def test_a_metric_that_is_not_finite_is_named_among_what_may_be(experiment, tmp_path):
    def with_metric(params, batch, key):
        sums = objective(params, batch, key)
        return sums._replace(metrics={"acc": sums.loss * jnp.nan})

    made = experiment()
    trainer = made.trainer._replace(steps=make_train_steps(with_metric, optax.sgd(0.5), made.trainer.mesh))
    start = init_state(made.start.params, optax.sgd(0.5))
    with RunDirectory(tmp_path) as run, pytest.raises(NonFiniteError, match="The loss, a metric, a gradient or a new"):
        fit(trainer, start, made.plan, run).finish()


@pytest.mark.fault(15)
@pytest.mark.parametrize("optimizer", [optax.sgd(3e38), optax.rmsprop(1e-2)], ids=["weights", "optimizer's state"])
def test_an_update_that_overflows_is_not_taken_either(experiment, tmp_path, optimizer):
    """The gradients are finite, up to 1e25; their squares, or their products with the rate, are not."""
    made = experiment()
    x = made.examples.x * np.float32(1e25)
    steps = make_train_steps(objective, optimizer, made.trainer.mesh)
    trainer = made.trainer._replace(examples=made.examples._replace(x=x), steps=steps)
    start = init_state(made.start.params, optimizer)
    with RunDirectory(tmp_path) as run, pytest.raises(NonFiniteError, match="after step 0"):
        list(fit(trainer, start, made.plan, run))
    with RunDirectory(tmp_path) as run:
        assert run.latest.steps() == [0]


@pytest.mark.fault(15)
def test_a_step_that_is_not_finite_can_be_skipped_and_is_counted(experiment, tmp_path):
    number, _ = batch_of(experiment(), 17)
    skipping = with_nan(experiment(skip_nonfinite=True))
    events = run_to_the_end(skipping, tmp_path)
    records = [event.record for event in events if isinstance(event, EpochEnd)]
    assert [record.skipped for record in records] == [1, 2, 3]
    state = train(with_nan(experiment(skip_nonfinite=True)), [5])
    left_out = reference(experiment(), 5, skip=number)
    np.testing.assert_allclose(state.params["weights"], left_out[0], rtol=1e-5)
    np.testing.assert_allclose(records[0].training["loss"], left_out[2] / 70, rtol=1e-6)


@pytest.mark.fault(15)
def test_a_bad_example_costs_the_steps_it_is_in_and_no_others(experiment, tmp_path):
    """Example 0 too, with which short batches were once filled: weight 0 times NaN is NaN."""
    skipping = with_nan(experiment(skip_nonfinite=True), example=0)
    for epoch in (0, 1, 2):
        last = epoch_batches(skipping.plan.seed, epoch, 90, 20, 1)
        assert 0 not in last.rows[-1][last.weight[-1] > 0]
    events = run_to_the_end(skipping, tmp_path)
    assert [event.record.skipped for event in events if isinstance(event, EpochEnd)] == [1, 2, 3]


def test_a_run_that_stopped_at_such_a_step_goes_on_by_skipping_it(experiment, tmp_path):
    run_to_the_end(with_nan(experiment(skip_nonfinite=True)), tmp_path / "skipped")
    with pytest.raises(NonFiniteError):
        run_to_the_end(with_nan(experiment()), tmp_path / "stopped")
    run_to_the_end(with_nan(experiment(skip_nonfinite=True)), tmp_path / "stopped")
    assert_same(outcome(experiment(), tmp_path / "skipped"), outcome(experiment(), tmp_path / "stopped"))


def test_an_epoch_of_which_every_step_was_skipped_ends_the_run(experiment, tmp_path):
    hopeless = experiment(skip_nonfinite=True)
    examples = hopeless.examples._replace(x=np.full_like(hopeless.examples.x, np.inf))
    hopeless = hopeless._replace(trainer=hopeless.trainer._replace(examples=examples))
    with pytest.raises(FloatingPointError, match="Epoch 1: every step was skipped"):
        run_to_the_end(hopeless, tmp_path)


def test_a_stop_within_an_evaluation_leaves_it_to_the_resume(experiment, tmp_path):
    def stop(params):
        raise Stopped

    stopped = experiment(epochs=1)
    run_to_the_end(stopped._replace(trainer=stopped.trainer._replace(evaluate=stop)), tmp_path / "torn")
    with RunDirectory(tmp_path / "torn") as run:
        assert (run.latest.steps()[-1], run.records()) == (5, [])
    for name in ("torn", "whole"):
        run_to_the_end(experiment(epochs=1), tmp_path / name)
    assert_same(outcome(experiment(), tmp_path / "whole"), outcome(experiment(), tmp_path / "torn"))


@pytest.mark.parametrize(
    "changed", [{"batch_size": 10}, {"seed": 1}, {"num_shards": 4}, {"goal": Goal("loss")}], ids=str
)
def test_a_run_does_not_continue_under_another_plan(experiment, tmp_path, changed):
    run_to_the_end(experiment(epochs=1), tmp_path)
    ((name, _),) = changed.items()
    with pytest.raises(ValueError, match=rf"was trained in another way so far \(plan\.{name}.* there, .* now"):
        run_to_the_end(experiment(**changed), tmp_path)
    run_to_the_end(experiment(), tmp_path)


def test_the_plan_is_part_of_the_manifest_and_free_keys_may_change(experiment, tmp_path):
    def train(made):
        with RunDirectory(tmp_path) as run:
            warnings = run.begin({"rate": 0.5}, free=["plan.batch_size"])
            fit(made.trainer, run.resume(made.start).state, made.plan, run).finish()
            return warnings, run.manifest()[0].identity

    goal = {"metric": "acc", "direction": "highest"}
    plan = {"batch_size": 20, "seed": 0, "num_shards": 2, "examples": 90, "order": "shuffled", "goal": goal}
    assert train(experiment(epochs=1)) == ([], {"rate": 0.5, "plan": plan})
    warnings, identity = train(experiment(batch_size=10))
    assert (warnings, identity["plan"]["batch_size"]) == ([], 10)


def test_an_identity_leaves_the_key_of_the_plan_to_fit(tmp_path):
    with RunDirectory(tmp_path) as run, pytest.raises(ValueError, match="can't have a key 'plan'"):
        run.begin({"plan": "a"})
    assert not (tmp_path / "manifest.json").exists()


def test_fit_returns_the_final_state_and_the_run_its_best_params(experiment, tmp_path):
    made = experiment()
    with RunDirectory(tmp_path) as run:
        training = fit(made.trainer, run.resume(made.start).state, made.plan, run)
        assert int(training.state.step) == 0
        final = training.finish()
    jax.tree.map(np.testing.assert_array_equal, final, outcome(made, tmp_path)[2])
    run = RunDirectory(tmp_path)
    best_record = max(run.records(), key=lambda record: record.validation["acc"])
    assert made.trainer.evaluate(run.best_params(made.start.params)) == best_record.validation
