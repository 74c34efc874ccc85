"""The training loop: a sequence of small duties, each of which a resume does again where it is missing.

An epoch ends in a fixed order: save, evaluate, record, best. What is still to do is read off the state and the run
directory alone, so a run that was killed anywhere goes on as if it had not been.
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from recurrent.training.checkpoints.leaves import describe
from recurrent.training.mesh import replicate, shard
from recurrent.training.order import Batches, epoch_batches, num_batches
from recurrent.training.pace import Pace
from recurrent.training.plan import Plan, count_rows, settle
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.records import Record, Timing, best, number
from recurrent.training.signals import Stopped
from recurrent.training.state import TrainState
from recurrent.training.step import TrainSteps
from recurrent.training.streams import fixed_draws, stream

__all__ = ["EpochEnd", "NonFiniteError", "Progress", "Trainer", "fit"]


class NonFiniteError(FloatingPointError):
    """A step whose loss, gradient or new weights are NaN or infinite, and which was not taken.

    Attributes:
        step: steps taken before it.
        epoch: the epoch under way, from 1.
        examples: numbers of its batch's examples in the data set.
    """

    def __init__(self, step: int, epoch: int, examples: list[int], saved_at: Path) -> None:
        """Says where, and what can be done."""
        super().__init__(
            f"The loss, a gradient or a new weight is not finite in the step after step {step} (epoch {epoch}), on a "
            f"batch of the examples {', '.join(map(str, examples))}. The step was not taken; the state before it is in "
            f"{saved_at}."
        )
        self.step, self.epoch, self.examples = step, epoch, examples


class Trainer(NamedTuple):
    """What the loop calls: the compiled steps, the examples they choose from, and the verdict on some params."""

    steps: TrainSteps
    examples: Any  # NamedTuple of arrays [examples, ...]
    evaluate: Callable[[Any], tuple[Any, Any]]  # params -> validation loss and accuracy, two numbers; may raise Stopped
    mesh: Mesh


class Progress(NamedTuple):
    """A dispatch is done."""

    epoch: int
    step: int
    loss: float  # mean over the epoch so far
    acc: float


class EpochEnd(NamedTuple):
    """An epoch is trained, evaluated and recorded."""

    record: Record
    timing: Timing
    is_best: bool


def fit(
    trainer: Trainer, state: TrainState, plan: Plan, run: RunDirectory, should_stop: Callable[[], Any] = lambda: False
) -> Iterator[Progress | EpochEnd]:
    """Trains until the plan is fulfilled, yielding what happens; the final state is in the run directory.

    Arguments that don't go together are refused at once; the training itself begins with the first event asked for.

    Args:
        state: where to go on: that of `run.resume(...)`.
        should_stop: asked between dispatches; when it says so, the state is saved and the loop returns.

    Raises:
        NonFiniteError: a loss, gradient or new weight is NaN or infinite; the state before that step is saved.
        FloatingPointError: all of an epoch's steps were skipped, or the params that were given are not finite.
        ValueError: the examples' arrays differ in length, or an argument does not fit the others; `evaluate` returned
            something else than two numbers, the state being saved; or a checkpoint was damaged while the run went on.
        OSError: a checkpoint or a record can't be written. What was written before is whole.
    """
    if not isinstance(state, TrainState):
        raise ValueError(f"state must be a TrainState, not a {type(state).__name__}: `run.resume(...).state` is one.")
    if not count_rows("examples", trainer.examples):
        raise ValueError("There are no examples to train on.")
    describe(state)  # it must be one that can be saved
    return _train(trainer, state, settle(plan, trainer.mesh.size), run, should_stop)


def _train(
    trainer: Trainer, state: TrainState, plan: Plan, run: RunDirectory, should_stop: Callable[[], Any]
) -> Iterator[Progress | EpochEnd]:
    duties = _Duties(trainer, state, plan, run)
    while not should_stop():
        if duties.lacks_evaluation():
            try:
                yield duties.end_epoch()
            except Stopped:  # what it lacks is done when the run is resumed
                break
        elif duties.is_fulfilled():
            break
        else:
            yield duties.dispatch()
    duties.save()


class _Duties:
    """The loop's position: the state, and for the epoch under way its batches and the time spent on it."""

    def __init__(self, trainer: Trainer, state: TrainState, plan: Plan, run: RunDirectory) -> None:
        self.trainer, self.plan, self.run = trainer, plan, run
        self.examples = replicate(jax.tree.map(jnp.asarray, trainer.examples), trainer.mesh)
        self.num_examples = len(jax.tree.leaves(self.examples)[0])
        self.steps_per_epoch = num_batches(self.num_examples, plan.batch_size)
        self.key = replicate(stream(plan.seed, "noise", run.streams), trainer.mesh)
        # A copy: steps donate their state, and the caller's, used once more, would crash the process (jaxlib 0.10).
        self.state = replicate(jax.tree.map(jnp.copy, state), trainer.mesh)
        self.step = int(state.step)
        self.records = run.records()
        self.batches: Batches | None = None
        self.save_seconds = 0.0
        self.pace = Pace()
        self.keep_if_best()

    def lacks_evaluation(self) -> bool:
        """Says whether an epoch has been trained to its end and not been recorded."""
        return self._last_epoch() < self.step // self.steps_per_epoch

    def is_fulfilled(self) -> bool:
        """Says whether all epochs are done, or patience is."""
        leader = best(self.records)
        since_best = self._last_epoch() - (leader.epoch if leader else 0)
        has_stalled = self.plan.patience is not None and since_best > self.plan.patience
        return self.step >= self.plan.epochs * self.steps_per_epoch or has_stalled

    def dispatch(self) -> Progress:
        """Runs some steps of the epoch in one go."""
        epoch, done = divmod(self.step, self.steps_per_epoch)
        if self.batches is None:
            self.batches = self._batches(epoch)
            self._advance(0, self.batches)  # compiles before the clock runs
        count = min(
            self.pace.steps, self.steps_per_epoch - done, self.plan.save_every - self.step % self.plan.save_every
        )
        start = time.perf_counter()
        self._advance(count, self.batches)
        self.pace.note(count, time.perf_counter() - start)
        if self.step % self.plan.save_every == 0 or self.step % self.steps_per_epoch == 0:
            self.save()
        return Progress(epoch + 1, self.step, *self._means())

    def end_epoch(self) -> EpochEnd:
        """Evaluates, records, and keeps the state if it is the best."""
        epoch = self.step // self.steps_per_epoch
        start = time.perf_counter()
        with fixed_draws():
            val_loss, val_acc = _two_numbers(self.trainer.evaluate(self.state.params))
        eval_seconds = time.perf_counter() - start
        loss, acc = self._means()
        if not float(self.state.sums.weight):
            raise FloatingPointError(f"Epoch {epoch}: every step was skipped, since no loss or gradient was finite.")
        timing = Timing(epoch, self.pace.epoch_steps, self.pace.epoch_seconds, eval_seconds, self.save_seconds)
        record = Record(epoch, self.step, loss, acc, val_loss, val_acc, int(self.state.skipped))
        self.run.record(record, timing)
        self.records.append(record)
        self.save_seconds = 0.0
        self.keep_if_best()
        self.batches = None
        self.pace.start_epoch()
        return EpochEnd(record, timing, is_best=best(self.records) == record)

    def keep_if_best(self) -> None:
        """Keeps the best epoch's state as the best one: just now, or where a kill or damage left that undone."""
        leader = best(self.records)
        if leader is None:
            return
        if leader.step == self.step:
            self.save()  # where it comes from; it is there already but after a checkpoint was lost
        start = time.perf_counter()
        if leader.step in self.run.latest.sealed_steps():
            self.run.save_best(leader.step)
        self.save_seconds += time.perf_counter() - start

    def save(self) -> None:
        """Saves the state, whose params must be finite."""
        start = time.perf_counter()
        for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(self.state.params)):
            if not np.isfinite(leaf).all():
                raise FloatingPointError(f"Step {self.step}: {jax.tree_util.keystr(path)} is not finite; not saved.")
        self.run.save(self.step, self.state)
        self.save_seconds += time.perf_counter() - start

    def _last_epoch(self) -> int:
        return self.records[-1].epoch if self.records else 0

    def _batches(self, epoch: int) -> Batches:
        plan = self.plan
        batches = epoch_batches(plan.seed, epoch, self.num_examples, plan.batch_size, plan.num_shards, self.run.streams)
        return shard(batches, self.trainer.mesh, axis=1)

    def _advance(self, count: int, batches: Batches) -> None:
        end = self.step + count
        self.state = self.trainer.steps(self.state, self.examples, batches, self.key, jnp.int32(count))
        self.step = int(self.state.step)
        if self.step < end:
            self._stop_at_nonfinite(batches)

    def _stop_at_nonfinite(self, batches: Batches) -> None:
        epoch, number = divmod(self.step, self.steps_per_epoch)
        self.save()
        rows, weight = (jax.device_get(part)[number] for part in batches)
        raise NonFiniteError(self.step, epoch + 1, sorted(rows[weight > 0].tolist()), self.run.latest.path(self.step))

    def _means(self) -> tuple[float, float]:
        """Returns loss and accuracy over the epoch so far; NaN where every step of it was skipped."""
        both = jax.device_get((self.state.sums, self.state.residue))
        sums = jax.tree.map(lambda total, residue: float(total) + float(residue), *both)
        if not sums.weight:
            return math.nan, math.nan
        return sums.loss / sums.weight, sums.correct / sums.weight


def _two_numbers(verdict: Any) -> tuple[float, float]:
    """Returns what `evaluate` answered as Python's floats.

    Raises:
        ValueError: it is something else than two numbers.
    """
    wanted = "evaluate must return two numbers, validation loss and accuracy"
    try:
        loss, accuracy = verdict
        return number("loss", loss), number("accuracy", accuracy)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}, not {verdict!r}. The epoch is saved; a resume evaluates it again.") from error
