"""The training loop: a sequence of small duties, each of which a resume does again where it is missing.

An epoch ends in a fixed order: save, evaluate, record, best. What is still to do is read off the state and the run
directory alone, so a run that was killed anywhere goes on as if it had not been.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from recurrent.training.mesh import replicate, shard
from recurrent.training.order import Batches, epoch_batches, num_batches
from recurrent.training.pace import Pace
from recurrent.training.records import Record, Timing, best
from recurrent.training.run_directory import RunDirectory
from recurrent.training.state import TrainState
from recurrent.training.step import TrainSteps

__all__ = ["EpochEnd", "Plan", "Progress", "Trainer", "fit"]


@dataclass(frozen=True)
class Plan:
    """How long to train, in what order, and when to save.

    Args:
        batch_size: examples a step; the last batch of an epoch may be shorter.
        num_shards: parts of a batch that devices may share; see `make_mesh`.
        save_every: steps between saves, beside the one at each epoch's end.
        patience: stops after so many epochs without a better validation accuracy; None never does.
    """

    epochs: int
    batch_size: int
    seed: int
    num_shards: int = 1
    save_every: int = 1000
    patience: int | None = None


class Trainer(NamedTuple):
    """What the loop calls: the compiled steps, the examples they choose from, and the verdict on some params."""

    steps: TrainSteps
    examples: Any  # NamedTuple of arrays [examples, ...]
    evaluate: Callable[[Any], tuple[float, float]]  # params -> validation loss and accuracy
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

    Args:
        state: where to go on: `run.resume(...)`.
        should_stop: asked between dispatches; when it says so, the state is saved and the loop returns.

    Raises:
        FloatingPointError: loss or params are NaN or infinite. Nothing of that dispatch is saved.
    """
    duties = _Duties(trainer, state, plan, run)
    while not should_stop():
        if duties.lacks_evaluation():
            yield duties.end_epoch()
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
        self.key = replicate(jax.random.key(plan.seed), trainer.mesh)
        self.state = replicate(state, trainer.mesh)
        self.step = int(state.step)
        self.records = run.records()
        self.batches: Batches | None = None
        self.pace = Pace()
        self.run.save_if_best(self.state)

    def lacks_evaluation(self) -> bool:
        """Says whether an epoch has been trained to its end and not been recorded."""
        return len(self.records) < self.step // self.steps_per_epoch

    def is_fulfilled(self) -> bool:
        """Says whether all epochs are done, or patience is."""
        leader = best(self.records)
        since_best = len(self.records) - (leader.epoch if leader else 0)
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
        return Progress(epoch + 1, self.step, self._mean_loss(), self._accuracy())

    def end_epoch(self) -> EpochEnd:
        """Evaluates, records, and keeps the state if it is the best."""
        epoch = self.step // self.steps_per_epoch
        start = time.perf_counter()
        val_loss, val_acc = self.trainer.evaluate(self.state.params)
        timing = Timing(epoch, self.pace.epoch_steps, self.pace.epoch_seconds, time.perf_counter() - start)
        record = Record(epoch, self.step, self._mean_loss(), self._accuracy(), val_loss, val_acc)
        self.run.record(record, timing)
        self.run.save_if_best(self.state)
        self.records.append(record)
        self.batches = None
        self.pace.start_epoch()
        return EpochEnd(record, timing, is_best=best(self.records) == record)

    def save(self) -> None:
        """Saves the state, which must be finite."""
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.state.params):
            if not bool(jnp.all(jnp.isfinite(leaf))):
                raise FloatingPointError(f"Step {self.step}: {jax.tree_util.keystr(path)} is not finite; not saved.")
        self.run.latest.save(self.state)

    def _batches(self, epoch: int) -> Batches:
        plan = self.plan
        batches = epoch_batches(plan.seed, epoch, self.num_examples, plan.batch_size, plan.num_shards)
        return shard(batches, self.trainer.mesh, axis=1)

    def _advance(self, count: int, batches: Batches) -> None:
        self.state = self.trainer.steps(self.state, self.examples, batches, self.key, jnp.int32(count))
        self.step += count
        if not math.isfinite(float(self.state.sums.loss)):
            raise FloatingPointError(
                f"The loss is {float(self.state.sums.loss)} within {count} steps before step {self.step}."
            )

    def _mean_loss(self) -> float:
        return float(self.state.sums.loss) / float(self.state.sums.weight)

    def _accuracy(self) -> float:
        return float(self.state.sums.correct) / float(self.state.sums.weight)
