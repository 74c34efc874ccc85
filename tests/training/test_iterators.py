"""Batches from an iterator train like the same batches from arrays, and its position survives a kill."""

import itertools

import grain
import jax
import numpy as np
import pytest

from recurrent.training import BatchIterator, RunDirectory, epoch_batches, fit
from tests.training.conftest import Examples
from tests.training.test_loop import assert_same, outcome, run_to_the_end

STEPS = 5


def batches_of(made, num_epochs=None):
    """Yields the batches that the arrays of an experiment are cut into."""
    for epoch in itertools.count() if num_epochs is None else range(num_epochs):
        order = epoch_batches(made.plan.seed, epoch, len(made.examples.labels), made.plan.batch_size, 1)
        for rows, weight in zip(order.rows[:, 0], order.weight[:, 0], strict=True):
            yield jax.tree.map(lambda leaf, rows=rows[weight > 0]: leaf[rows], made.examples)


class Positioned:
    """An iterator with a position, like Grain's, that notes how many batches were drawn from it."""

    def __init__(self, batches):
        self.batches, self.at, self.drawn = list(batches), 0, 0

    def __next__(self):
        if self.at == len(self.batches):
            raise StopIteration
        self.at, self.drawn = self.at + 1, self.drawn + 1
        return self.batches[self.at - 1]

    def get_state(self):
        return b"%d" % self.at

    def set_state(self, state):
        self.at = int(state)


def iterating(made, iterator):
    return made._replace(trainer=made.trainer._replace(examples=BatchIterator(iterator, STEPS)))


def test_an_iterator_trains_as_the_arrays_do(experiment, tmp_path):
    run_to_the_end(experiment(), tmp_path / "arrays")
    run_to_the_end(iterating(experiment(), batches_of(experiment())), tmp_path / "iterator")
    assert_same(outcome(experiment(), tmp_path / "arrays"), outcome(experiment(), tmp_path / "iterator"))


@pytest.mark.parametrize("max_events", [1, 2, 3, 4, 6, 9])
@pytest.mark.parametrize("make", [Positioned, iter], ids=["with a position", "without"])
def test_a_resume_continues_where_the_batches_were(experiment, tmp_path, make, max_events):
    run_to_the_end(experiment(), tmp_path / "whole")
    run_to_the_end(iterating(experiment(), make(batches_of(experiment(), 3))), tmp_path / "torn", max_events)
    again = make(batches_of(experiment(), 3))
    run_to_the_end(iterating(experiment(), again), tmp_path / "torn")
    assert_same(outcome(experiment(), tmp_path / "whole"), outcome(experiment(), tmp_path / "torn"))
    if make is Positioned:
        with RunDirectory(tmp_path / "torn") as run:
            assert again.at == 3 * STEPS >= again.drawn + run.resume(experiment().start).step - 3 * STEPS


def grains(made):
    """Returns an iterator of Grain over the same examples, shuffled by Grain."""
    source = [Examples(x, label) for x, label in zip(made.examples.x, made.examples.labels, strict=True)]
    data = grain.MapDataset.source(source).seed(3).shuffle().repeat().to_iter_dataset()
    return iter(data.batch(made.plan.batch_size))


@pytest.mark.parametrize("max_events", [2, 5])
def test_grains_position_is_part_of_a_checkpoint(experiment, tmp_path, max_events):
    run_to_the_end(iterating(experiment(), grains(experiment())), tmp_path / "whole")
    run_to_the_end(iterating(experiment(), grains(experiment())), tmp_path / "torn", max_events)
    run_to_the_end(iterating(experiment(), grains(experiment())), tmp_path / "torn")
    assert_same(outcome(experiment(), tmp_path / "whole"), outcome(experiment(), tmp_path / "torn"))


def test_the_best_epochs_checkpoint_has_its_position_too(experiment, tmp_path):
    run_to_the_end(iterating(experiment(), Positioned(batches_of(experiment(), 3))), tmp_path)
    with RunDirectory(tmp_path) as run:
        (step,) = run.best.steps()
        assert run.best.check(step).about["position"] == run.latest.check(step).about["position"] is not None


X, LABELS = np.ones((20, 3), np.float32), np.ones(20, np.float32)
WRONG = {
    "ends early": ([Examples(X, LABELS)] * 7, r"ended after 7 batches, and the plan needs 15 .*let it repeat"),
    "other shapes": ([Examples(X, LABELS), Examples(X[:, :2], LABELS)], "Batch 1 of the iterator has the form"),
    "another dtype": ([Examples(X, LABELS), Examples(X, LABELS.astype(np.float16))], "Batch 1 .*float16"),
    "too many rows": ([Examples(np.ones((21, 3), np.float32), np.ones(21))], "Batch 0 .*has 21 rows, .*is 20"),
    "wide integers": (
        [Examples(X, np.full(20, 2**31))],
        "Batch 0 of the iterator: batch.labels holds 2147483648, and JAX makes int32 of int64",
    ),
    "no rows": ([Examples(X[:0], LABELS[:0])], "has 0 rows"),
    "a tuple": (
        [Examples(X, LABELS), (X, LABELS)],
        "Batch 1 of the iterator has the form .* those before had Examples",
    ),
    "no arrays": ([None], "batch 0 of the iterator holds no arrays"),
    "other lengths": ([Examples(X, LABELS[:7])], r"batch 0 of the iterator differ in their number of rows"),
    "nothing": ([], "ended after 0 batches"),
}


@pytest.mark.parametrize("batches, message", WRONG.values(), ids=WRONG.keys())
def test_an_iterator_that_does_not_fit_is_refused_in_words(experiment, tmp_path, batches, message):
    with pytest.raises(ValueError, match=message):
        run_to_the_end(iterating(experiment(), iter(batches)), tmp_path)


def test_what_is_no_iterator_is_refused_at_once(experiment, tmp_path):
    with RunDirectory(tmp_path) as run:
        with pytest.raises(ValueError, match=r"must be an iterator, not a list: iter\(\.\.\.\) makes one"):
            fit(iterating(experiment(), [X]).trainer, experiment().start, experiment().plan, run)
        wrong = experiment().trainer._replace(examples=BatchIterator(iter([X]), 0))
        with pytest.raises(ValueError, match="steps_per_epoch must be an integer of at least 1, not 0"):
            fit(wrong, experiment().start, experiment().plan, run)


def test_a_run_on_arrays_does_not_continue_on_an_iterator(experiment, tmp_path):
    run_to_the_end(experiment(epochs=1), tmp_path)
    with pytest.raises(ValueError, match="holds no position of an iterator: it was trained on arrays"):
        run_to_the_end(iterating(experiment(), Positioned(batches_of(experiment(), 3))), tmp_path)


def test_a_run_on_an_iterator_keeps_its_steps_per_epoch(experiment, tmp_path):
    run_to_the_end(iterating(experiment(epochs=1), batches_of(experiment())), tmp_path)
    longer = experiment()
    batches = BatchIterator(batches_of(experiment()), STEPS + 1)
    longer = longer._replace(trainer=longer.trainer._replace(examples=batches))
    with pytest.raises(ValueError, match=r"\(plan.steps_per_epoch: 5 there, 6 now\). Use another folder"):
        run_to_the_end(longer, tmp_path)
