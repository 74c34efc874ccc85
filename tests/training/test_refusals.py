"""What `fit` can't do it refuses at once, before anything is computed; what `evaluate` returns is checked."""

import json
import math
import re

import jax.numpy as jnp
import numpy as np
import pytest

from recurrent.training import EpochEnd, Goal, RunDirectory, fit, make_mesh, make_predict
from tests.training.conftest import Examples
from tests.training.test_loop import assert_same, outcome, run_to_the_end

PLANS = {
    "epochs": [0, -1, 1.5, True, None, "3", np.float32(2)],
    "batch_size": [0, -4, 20.0, True, np.array([20])],
    "num_shards": [0, -2, 2.0, 3, 1],  # 3 does not divide the batch, and 1 has less than the mesh's two devices
    "save_every": [0, -1, 2.5, False],
    "patience": [-1, 0.5, True],
    "seed": [-1, 2**64, 0.0, True, None],
    "goal": ["acc", None],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in PLANS.items() for value in values])
def test_a_plan_that_can_not_be_is_refused_with_the_value(experiment, tmp_path, name, value):
    made = experiment(**{name: value})
    with (
        RunDirectory(tmp_path) as run,
        pytest.raises(ValueError, match=rf"{name} (must|\().*{re.escape(str(value)[:3])}"),
    ):
        fit(made.trainer, made.start, made.plan, run)
    assert not (tmp_path / "checkpoints").exists()


def test_a_state_from_before_what_is_saved_is_refused(experiment, tmp_path):
    made = experiment()
    run_to_the_end(made, tmp_path)
    with RunDirectory(tmp_path) as run, pytest.raises(ValueError, match=r"of step 0, and .* a checkpoint of step 15:"):
        fit(made.trainer, made.start, made.plan, run).finish()


def test_integers_of_numpy_will_do(experiment, tmp_path):
    integers = {"epochs": np.int64(1), "batch_size": np.int32(20), "seed": np.uint64(0), "patience": jnp.int32(0)}
    run_to_the_end(experiment(**integers), tmp_path / "numpy")
    run_to_the_end(experiment(epochs=1), tmp_path / "python")
    assert_same(outcome(experiment(), tmp_path / "numpy"), outcome(experiment(), tmp_path / "python"))


def test_fewer_epochs_than_were_trained_are_no_work(experiment, tmp_path):
    run_to_the_end(experiment(epochs=2), tmp_path)
    assert run_to_the_end(experiment(epochs=1), tmp_path) == []


X, LABELS = np.ones((10, 3), np.float32), np.ones(10, np.float32)
EXAMPLES = {
    "fewer labels": (
        Examples(X, LABELS[:7]),
        r"examples differ in their number of rows: 10 in examples\.x, 7 in .*labels",
    ),
    "more labels": (Examples(X, np.ones(11, np.float32)), r"10 in examples\.x, 11 in examples\.labels"),
    "a scalar": (Examples(X, np.float32(1)), r"examples\.labels is the float32 .*, not an array \[rows"),
    "0-d": (Examples(X, jnp.ones(())), r"examples\.labels is the .*, not an array"),
    "lists": (Examples(X.tolist(), LABELS.tolist()), r"examples\.x\[0\]\[0\] is the float 1\.0, .*np\.asarray"),
    "text": (Examples(X, np.array(["a"] * 10)), r"examples\.labels has dtype <U1"),
    "objects": (Examples(X, np.array([None] * 10)), r"dtype object"),
    "none": (Examples(X[:0], LABELS[:0]), "no examples to train on"),
    "nothing": ({}, "examples holds no arrays"),
}


@pytest.mark.parametrize("examples, message", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_examples_that_do_not_belong_together_are_refused(experiment, tmp_path, examples, message):
    made = experiment()
    with RunDirectory(tmp_path) as run, pytest.raises(ValueError, match=message):
        fit(made.trainer._replace(examples=examples), made.start, made.plan, run)
    assert not (tmp_path / "checkpoints").exists()


def test_a_state_that_is_none_or_can_not_be_saved_is_refused(experiment, tmp_path):
    made = experiment()
    with RunDirectory(tmp_path) as run:
        with pytest.raises(ValueError, match=r"state must be a TrainState, not a Resumed: `run\.resume"):
            fit(made.trainer, run.resume(made.start), made.plan, run)
        with pytest.raises(ValueError, match=r"\.params\['rate'\] is a float"):
            fit(made.trainer, made.start._replace(params={"rate": 0.5}), made.plan, run)


def test_inputs_to_predict_from_must_belong_together():
    predict = make_predict(lambda params, inputs: inputs["a"] + inputs["b"], make_mesh(2), chunk_size=4)
    with pytest.raises(ValueError, match=r"10 in inputs\['a'\], 7 in inputs\['b'\]"):
        predict(jnp.zeros(()), {"a": LABELS, "b": LABELS[:7]})
    for chunk_size in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="chunk_size must be an integer of at least 1"):
            make_predict(lambda params, x: x, make_mesh(2), chunk_size=chunk_size)
    for num_shards in (0, -1, 2.0):
        with pytest.raises(ValueError, match="num_shards must be"):
            make_mesh(num_shards)


def answering(experiment, *verdicts, **plan):
    """The experiment whose epochs are judged by these, one after the other."""
    answers = iter(verdicts)
    made = experiment(**plan)
    return made._replace(trainer=made.trainer._replace(evaluate=lambda params: next(answers)))


@pytest.mark.parametrize(
    "loss, acc",
    [(1, 0.5), (np.float32(1), np.float64(0.5)), (jnp.float32(1), jnp.bfloat16(0.5)), (np.array(1), jnp.array(0.5))],
    ids=["python", "numpy", "jax", "array"],
)
def test_evaluate_may_return_numbers_of_any_kind(experiment, tmp_path, loss, acc):
    events = run_to_the_end(answering(experiment, {"loss": loss, "acc": acc}, epochs=1), tmp_path)
    validation = events[-1].record.validation
    assert validation == {"loss": 1.0, "acc": 0.5}
    assert set(map(type, validation.values())) == {float}


def test_a_classifiers_evaluate_may_return_loss_and_accuracy(experiment, tmp_path):
    events = run_to_the_end(answering(experiment, (1, np.float32(0.5)), epochs=1), tmp_path)
    assert events[-1].record.validation == {"loss": 1.0, "acc": 0.5}


def test_a_verdict_that_is_nan_is_recorded_and_resumed_without_a_word(experiment, tmp_path):
    run_to_the_end(answering(experiment, {"loss": math.nan, "acc": math.nan}, epochs=1), tmp_path)
    with RunDirectory(tmp_path) as run:
        assert run.resume(experiment().start).notes == []
    run_to_the_end(experiment(epochs=2), tmp_path)


WRONG = [
    None,
    0.5,
    (0.5,),
    (0.5, None),
    (0.5, 0.5, 0.5),
    [0.5, 0.5],
    {"loss": 0.5, "acc": None},
    {"loss": "0.5", "acc": 0.5},
    {"loss": 0.5, "acc": np.ones(2)},
    {"loss": 0.5, "acc": jnp.ones(1)},
    {"acc": 1j},
]


@pytest.mark.parametrize("verdict", WRONG, ids=repr)
def test_any_other_verdict_is_named_and_nothing_is_recorded(experiment, tmp_path, verdict):
    with pytest.raises(ValueError, match=r"evaluate must return numbers by name, .*, not .*The epoch is saved"):
        run_to_the_end(answering(experiment, verdict), tmp_path)
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_verdict_without_the_goal_is_refused(experiment, tmp_path):
    with pytest.raises(ValueError, match=r"evaluate returned loss, f1, but the plan's goal is acc: .*Goal\(NAME"):
        run_to_the_end(answering(experiment, {"loss": 0.5, "f1": 0.5}), tmp_path)
    with pytest.raises(ValueError, match=r"evaluate must name its numbers by text, not by \['acc', 3\]"):
        run_to_the_end(answering(experiment, {"acc": 0.5, 3: 0.5}), tmp_path)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1])
def test_integers_that_would_be_cut_are_refused(experiment, tmp_path, value):
    made, wide = experiment(), np.zeros(len(experiment().examples.labels), np.int64)
    for last, trains in ((2**31 - 1, True), (value, False)):
        wide[-1] = last
        trainer = made.trainer._replace(examples=made.examples._replace(labels=wide.copy()))
        with RunDirectory(tmp_path) as run:
            if trains:
                fit(trainer, made.start, made.plan, run)
                continue
            with pytest.raises(ValueError, match=rf"examples.labels holds {value}, and JAX makes int32 of int64"):
                fit(trainer, made.start, made.plan, run)


def test_a_goal_that_was_named_wrong_costs_no_epoch(experiment, tmp_path):
    loss, f1 = Goal("loss"), Goal("f1", "highest")
    with pytest.raises(ValueError, match="evaluate returned f1, but the plan's goal is loss"):
        run_to_the_end(answering(experiment, {"f1": 0.5}, goal=loss), tmp_path)
    named = answering(experiment, *[{"f1": 0.5}] * 3, goal=f1)
    steps = [event.step for event in run_to_the_end(named, tmp_path) if not isinstance(event, EpochEnd)]
    assert min(steps) > 5  # the first epoch was not trained again
    with RunDirectory(tmp_path) as run:
        assert run.manifest()[0].identity["plan"]["goal"] == {"metric": "f1", "direction": "highest"}
    with pytest.raises(ValueError, match=r"plan\.goal\.metric: f1 there, loss now.*Use another folder"):
        run_to_the_end(answering(experiment, {"loss": 0.5}, goal=loss), tmp_path)


def test_fit_outside_its_with_is_refused_before_anything_is_trained(experiment, tmp_path):
    made, run = experiment(), RunDirectory(tmp_path)
    with pytest.raises(RuntimeError, match="is not held by this process: use the run directory in a `with`"):
        next(fit(made.trainer, made.start, made.plan, run))


def test_a_wrong_verdict_costs_no_epoch(experiment, tmp_path):
    with pytest.raises(ValueError, match="evaluate must return numbers by name"):
        run_to_the_end(answering(experiment, None), tmp_path / "torn")
    steps = [event.step for event in run_to_the_end(experiment(), tmp_path / "torn") if not isinstance(event, EpochEnd)]
    assert min(steps) > 5  # the first epoch was not trained again
    run_to_the_end(experiment(), tmp_path / "whole")
    assert_same(outcome(experiment(), tmp_path / "whole"), outcome(experiment(), tmp_path / "torn"))


def brick(path, epochs):
    """Makes a run what an earlier revision left where `evaluate` returned None as the accuracy of these epochs."""
    lines = [json.loads(line) for line in (path / "records.jsonl").read_text().splitlines()]
    spoilt = [line | ({"val_acc": None} if line["epoch"] in epochs else {}) for line in lines]
    (path / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in spoilt))
    with RunDirectory(path) as run:
        for step in run.latest.steps():
            about = run.latest.check(step).about
            about["records"] = [line for line in spoilt if line["epoch"] <= len(about["records"])]
            run.latest.reseal(step, about)


def test_a_run_that_null_had_bricked_evaluates_that_epoch_again(experiment, tmp_path):
    run_to_the_end(experiment(epochs=1), tmp_path / "bricked")
    brick(tmp_path / "bricked", {1})
    with RunDirectory(tmp_path / "bricked") as run:
        (note,) = run.resume(experiment().start).notes
    assert "epoch 1 was recorded with val_acc None, which is not a number: it is evaluated again" in note
    for name in ("bricked", "whole"):
        run_to_the_end(experiment(), tmp_path / name)
    assert_same(outcome(experiment(), tmp_path / "whole"), outcome(experiment(), tmp_path / "bricked"))


def test_of_an_epoch_whose_state_is_gone_nan_stands_for_the_null(experiment, tmp_path):
    run_to_the_end(experiment(epochs=2), tmp_path)
    brick(tmp_path, {1, 2})
    with RunDirectory(tmp_path) as run:
        notes = run.resume(experiment().start).notes
    assert ["NaN replaces it" in note for note in notes] == [True, False]
    events = run_to_the_end(experiment(), tmp_path)
    assert [event.record.epoch for event in events if isinstance(event, EpochEnd)] == [2, 3]
    with RunDirectory(tmp_path) as run:
        assert [(line.epoch, math.isnan(line.validation["acc"])) for line in run.records()] == [
            (1, True),
            (2, False),
            (3, False),
        ]
