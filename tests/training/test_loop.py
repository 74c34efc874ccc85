import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recurrent.training import EpochEnd, Progress, RunDirectory, fit


def run_to_the_end(experiment, path, max_events=None):
    """Trains; `max_events` abandons the run there, without the save that a signal would bring."""
    with RunDirectory(path) as run:
        events = fit(experiment.trainer, run.resume(experiment.start), experiment.plan, run)
        return list(itertools.islice(events, max_events))


def outcome(experiment, path):
    with RunDirectory(path) as run:
        state = run.latest.restore(experiment.start, run.latest.steps()[-1])
        return (path / "records.jsonl").read_bytes(), run.best.steps(), jax.device_get(state)


def assert_same(one, other):
    assert one[:2] == other[:2]
    jax.tree.map(np.testing.assert_array_equal, one[2], other[2])


def test_records_hold_the_run(experiment, tmp_path):
    events = run_to_the_end(experiment(), tmp_path)
    ends = [event for event in events if isinstance(event, EpochEnd)]
    assert [(end.record.epoch, end.record.step) for end in ends] == [(1, 5), (2, 10), (3, 15)]
    assert ends[-1].record.loss < ends[0].record.loss < np.log(2)
    with RunDirectory(tmp_path) as run:
        assert run.records() == [end.record for end in ends]
        assert [timing.steps for timing in run.timings()] == [5, 5, 5]
        assert run.best.steps() == [max(ends, key=lambda end: end.record.val_acc).record.step]


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


@pytest.mark.parametrize("missing", ["record", "best"])
def test_what_a_kill_left_out_at_an_epochs_end_is_done_again(experiment, tmp_path, missing):
    run_to_the_end(experiment(), tmp_path)
    expected = outcome(experiment(), tmp_path)
    with RunDirectory(tmp_path) as run:
        run.best.drop_after(0)
        if missing == "record":
            lines = (tmp_path / "records.jsonl").read_text().splitlines(keepends=True)
            (tmp_path / "records.jsonl").write_text("".join(lines[:2]))
    run_to_the_end(experiment(), tmp_path)
    found = outcome(experiment(), tmp_path)
    assert found[0] == expected[0]
    if expected[1] == [15]:
        assert found[1] == [15]


def test_a_finished_run_has_nothing_to_do(experiment, tmp_path):
    run_to_the_end(experiment(), tmp_path)
    assert run_to_the_end(experiment(), tmp_path) == []


def test_a_request_to_stop_saves_the_step_it_comes_at(experiment, tmp_path):
    seen = []
    with RunDirectory(tmp_path) as run:
        plan = experiment()
        for event in fit(plan.trainer, run.resume(plan.start), plan.plan, run, should_stop=lambda: len(seen) == 2):
            seen.append(event)
        assert isinstance(seen[-1], Progress)
        assert run.latest.steps()[-1] == seen[-1].step


def test_patience_ends_a_run_that_stalls(experiment, tmp_path):
    stalled = experiment(epochs=9, patience=2)
    trainer = stalled.trainer._replace(evaluate=lambda params: (0.5, 0.5))
    run_to_the_end(stalled._replace(trainer=trainer), tmp_path)
    with RunDirectory(tmp_path) as run:
        assert len(run.records()) == 4  # the first is the best, two are forgiven, one too many


def test_a_loss_that_is_not_finite_stops_the_run_before_anything_is_saved(experiment, tmp_path):
    broken = experiment()
    x = broken.examples.x.copy()
    x[17] = np.nan
    trainer = broken.trainer._replace(examples=broken.examples._replace(x=x))
    with pytest.raises(FloatingPointError, match="loss is nan"):
        run_to_the_end(broken._replace(trainer=trainer), tmp_path)
    with RunDirectory(tmp_path) as run:
        for step in run.latest.steps():
            state = run.latest.restore(broken.start, step)
            assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(state.params))
