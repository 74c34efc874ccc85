"""The duties of the training loop: what remains to be done, read from the state and the records, and how it is done."""

import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from recurrent.training.events import EpochEnd, NonFiniteError, Progress
from recurrent.training.mesh import replicate, shard
from recurrent.training.order import Batches, epoch_batches, num_batches
from recurrent.training.pace import Pace
from recurrent.training.plan import Plan, Trainer
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.lines import number
from recurrent.training.run.records import Record, Timing, best
from recurrent.training.state import TrainState
from recurrent.training.streams import fixed_draws, stream

__all__ = ["Duties"]


class Duties:
    """The loop's position: the state, and for the current epoch its batches and the time spent on it."""

    def __init__(self, trainer: Trainer, state: TrainState, plan: Plan, run: RunDirectory) -> None:
        """Puts the state and the examples on the devices; trains nothing."""
        self.trainer, self.plan, self.run = trainer, plan, run
        self.examples = replicate(jax.tree.map(jnp.asarray, trainer.examples), trainer.mesh)
        self.num_examples = len(jax.tree.leaves(self.examples)[0])
        self.steps_per_epoch = num_batches(self.num_examples, plan.batch_size)
        self.key = replicate(stream(plan.seed, "noise", run.streams), trainer.mesh)
        # A copy: steps donate their state, and if the caller used it again, the process would crash (jaxlib 0.10).
        self.state = replicate(jax.tree.map(jnp.copy, state), trainer.mesh)
        self.step = int(state.step)
        self.records = run.records()
        self.batches: Batches | None = None
        self.save_seconds = 0.0
        self.pace = Pace()
        self.keep_if_best()

    def lacks_evaluation(self) -> bool:
        """Says whether an epoch is trained but not recorded."""
        return self._last_epoch() < self.step // self.steps_per_epoch

    def is_fulfilled(self) -> bool:
        """Says whether all epochs are done, or the validation accuracy has not improved for `patience` epochs."""
        leader = best(self.records)
        since_best = self._last_epoch() - (leader.epoch if leader else 0)
        has_stalled = self.plan.patience is not None and since_best > self.plan.patience
        return self.step >= self.plan.epochs * self.steps_per_epoch or has_stalled

    def dispatch(self) -> Progress:
        """Runs some steps of the epoch in one dispatch."""
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
        """Evaluates and records the epoch, and keeps its state if it is the best."""
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
        """Copies the best epoch's checkpoint to `best`: after an epoch, or after a kill or corruption undid that."""
        leader = best(self.records)
        if leader is None:
            return
        if leader.step == self.step:
            self.save()  # the source of the copy; saved already, unless that checkpoint was lost
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
        """Returns loss and accuracy over the epoch so far; NaN if all of its steps were skipped."""
        both = jax.device_get((self.state.sums, self.state.residue))
        sums = jax.tree.map(lambda total, residue: float(total) + float(residue), *both)
        if not sums.weight:
            return math.nan, math.nan
        return sums.loss / sums.weight, sums.correct / sums.weight


def _two_numbers(answer: Any) -> tuple[float, float]:
    """Returns the answer of `evaluate` as Python's floats.

    Raises:
        ValueError: it is not two numbers.
    """
    wanted = "evaluate must return two numbers, validation loss and accuracy"
    try:
        loss, accuracy = answer
        return number("loss", loss), number("accuracy", accuracy)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}, not {answer!r}. The epoch is saved; a resume evaluates it again.") from error
