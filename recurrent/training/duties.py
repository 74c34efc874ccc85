"""The duties of the training loop: what remains to be done, read from the state and the records, and how it is done.

Who computes the steps is the caller's business: `fit` does it for one run, `fit_many` for several at once.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from recurrent.training.checkpoints.plain import own_parts
from recurrent.training.events import EpochEnd, NonFiniteError, Progress
from recurrent.training.feed import Served
from recurrent.training.iterator_feed import make_feed
from recurrent.training.objective import Sums
from recurrent.training.pace import Pace
from recurrent.training.plan import Plan, Trainer, identity
from recurrent.training.processes.arrays import is_apart
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.lines import number
from recurrent.training.run.records import Record, Timing, best
from recurrent.training.state import TrainState
from recurrent.training.streams import fixed_draws

__all__ = ["Counters", "Duties"]


class Counters(NamedTuple):
    """The part of a state that is read after each dispatch, in the host's memory."""

    step: Any
    sums: Sums
    residue: Sums

    @classmethod
    def of(cls, state: TrainState) -> "Counters":
        """Reads them."""
        return cls(*jax.device_get((state.step, state.sums, state.residue)))


class Duties:
    """The position of one run: its state, and for the current epoch its batches and the time spent on it."""

    def __init__(
        self, trainer: Trainer, state: TrainState, plan: Plan, run: RunDirectory, num_runs: int | None = None
    ) -> None:
        """Puts the examples on the devices; trains nothing. `num_runs` is that of a cohort.

        Raises:
            ValueError: the run was saved at a later step: the state is not that of `resume`.
        """
        self.trainer, self.plan, self.run = trainer, plan, run
        self.hold(state, Counters.of(state))
        _refuse_earlier(self.step, run)
        self.feed = make_feed(trainer, plan, run.streams, self.step, run.position(self.step), num_runs)
        self.steps_per_epoch = self.feed.steps_per_epoch
        self.records = run.records()
        # A goal decides something once there is a record: if `evaluate` did not return it, another one may be named.
        free = () if self.records else ("plan.goal.metric", "plan.goal.direction")
        run.adopt(identity(plan, self.feed.num_examples, self.steps_per_epoch, trainer.sizes is not None), free)
        self.save_seconds = 0.0
        self.pace = Pace()
        self.keep_if_best()

    @property
    def state(self) -> TrainState:
        """Returns the state after the steps taken so far."""
        if not isinstance(self._state, TrainState):
            self._state = self._state()
        return self._state

    def must_stop(self, should_stop: bool) -> bool:
        """Says whether any process must stop, and makes all of them dispatch as many steps as process 0."""
        stops, self.pace.steps = self.run.processes.decide(should_stop, self.pace.steps)
        return stops

    def lacks_evaluation(self) -> bool:
        """Says whether an epoch is trained but not recorded."""
        return self._last_epoch() < self.step // self.steps_per_epoch

    def is_fulfilled(self) -> bool:
        """Says whether all epochs are done, or no epoch was the best one for `patience` epochs."""
        leader = best(self.records, self.plan.goal)
        since_best = self._last_epoch() - (leader.epoch if leader else 0)
        has_stalled = self.plan.patience is not None and since_best > self.plan.patience
        return self.step >= self.plan.epochs * self.steps_per_epoch or has_stalled

    def serve(self) -> Served:
        """Returns what the next steps read.

        Raises:
            ValueError: an iterator of batches does not go on; what was trained is saved, or a note says why it is not.
            OSError: a reader can't read; the same.
        """
        try:
            return self.feed.serve(self.step)
        except (ValueError, OSError) as error:  # of a source that does not go on: what was trained is kept
            if self.run.processes.count == 1:  # others may be training on, and would not save with this one
                self.save_despite(error)
            raise

    def count_steps(self, most: int, end: int) -> int:
        """Returns how many steps to take at once: at most so many, not beyond `end`, the epoch or the next save."""
        to_save = self.plan.save_every - self.step % self.plan.save_every
        return min(most, self.steps_per_epoch - self.step % self.steps_per_epoch, to_save, end - self.step)

    def hold(self, state: TrainState | Callable[[], TrainState], counters: Counters) -> None:
        """Takes over a state, or a function that returns it, and its counters."""
        self._state, self._counters, self.step = state, counters, int(counters.step)

    def end_dispatch(self, end: int) -> Progress:
        """Saves the state after some steps where it is due.

        Args:
            end: the step at which they were to end.

        Raises:
            NonFiniteError: they ended before; the state is saved.
        """
        if self.step < end:
            self.save()
            epoch, examples = self.step // self.steps_per_epoch + 1, self.feed.batch(self.step)
            raise NonFiniteError(self.step, epoch, examples, self.run.latest.path(self.step))
        if self.step % self.plan.save_every == 0 or self.step % self.steps_per_epoch == 0:
            self.save()
        return Progress(-(-self.step // self.steps_per_epoch), self.step, self._means())

    def end_epoch(self) -> EpochEnd:
        """Evaluates and records the epoch, and keeps its state if it is the best."""
        epoch = self.step // self.steps_per_epoch
        start = time.perf_counter()
        with fixed_draws():
            validation = self._named_numbers(self.trainer.evaluate(self.state.weights))
        eval_seconds = time.perf_counter() - start
        if not float(self._counters.sums.weight):
            raise FloatingPointError(f"Epoch {epoch}: every step was skipped, since no loss or gradient was finite.")
        timing = Timing(epoch, self.pace.epoch_steps, self.pace.epoch_seconds, eval_seconds, self.save_seconds)
        record = Record(epoch, self.step, self._means(), validation, int(self.state.skipped))
        record = self.run.record(record, timing)
        self.records.append(record)
        self.save_seconds = 0.0
        self.keep_if_best()
        self.pace.start_epoch()
        return EpochEnd(record, timing, is_best=best(self.records, self.plan.goal) == record)

    def keep_if_best(self) -> None:
        """Copies the best epoch's checkpoint to `best`: after an epoch, or after a kill or corruption undid that."""
        leader = best(self.records, self.plan.goal)
        if leader is None:
            return
        if leader.step == self.step:
            self.save()  # the source of the copy; saved already, unless that checkpoint was lost
        start = time.perf_counter()
        if self.run.is_saved(leader.step):
            self.run.save_best(leader.step)
        self.save_seconds += time.perf_counter() - start

    def save(self) -> None:
        """Saves the state, whose params must be finite."""
        start = time.perf_counter()
        params = self.state.params
        for path, leaf in jax.tree_util.tree_leaves_with_path(params if is_apart(params) else jax.device_get(params)):
            if not all(np.isfinite(part).all() for _, part in own_parts(leaf)):
                raise FloatingPointError(f"Step {self.step}: {jax.tree_util.keystr(path)} is not finite; not saved.")
        self.run.save(self.step, self.state, self.feed.position(self.step))
        self.save_seconds += time.perf_counter() - start

    def save_despite(self, error: Exception) -> None:
        """Saves the state; if that fails, adds a note to `error`, which the caller raises."""
        try:
            self.save()
        except Exception as reason:  # whatever it is, `error` came first
            error.add_note(f"Step {self.step} of {self.run.path} could not be saved either: {reason}")

    def _last_epoch(self) -> int:
        return self.records[-1].epoch if self.records else 0

    def _means(self) -> dict[str, float]:
        """Returns the means over the epoch so far; NaN if all of its steps were skipped."""
        sums = jax.tree.map(
            lambda total, residue: float(total) + float(residue), self._counters.sums, self._counters.residue
        )
        totals = {"loss": sums.loss, **sums.metrics}
        return {name: total / sums.weight if sums.weight else math.nan for name, total in totals.items()}

    def _named_numbers(self, answer: Any) -> dict[str, float]:
        """Returns the answer of `evaluate` as Python's floats.

        Raises:
            ValueError: it is not numbers by name, or lacks the one that decides which epoch is best.
        """
        what_now = "The epoch is saved; a resume evaluates it again."
        if isinstance(answer, tuple) and len(answer) == 2:  # as `evaluate` of a classifier was first defined
            answer = {"loss": answer[0], "acc": answer[1]}
        try:
            named = {name: number(name, value) for name, value in answer.items()}
        except (AttributeError, TypeError, ValueError) as error:
            wanted = 'evaluate must return numbers by name, such as {"loss": 0.7}'
            raise ValueError(f"{wanted}, not {answer!r}. {what_now}") from error
        if not all(isinstance(name, str) for name in named):
            raise ValueError(f"evaluate must name its numbers by text, not by {list(named)}. {what_now}")
        goal = self.plan.goal.metric
        if goal not in named:
            raise ValueError(
                f"evaluate returned {', '.join(named) or 'nothing'}, but the plan's goal is {goal}: the plan's "
                f'goal=Goal(NAME, "lowest") or "highest" names another. {what_now}'
            )
        return named


def _refuse_earlier(step: int, run: RunDirectory) -> None:
    """Raises ValueError for a step before one that is saved: that one would be taken for what is trained now."""
    newest = run.processes.led("newest", lambda: max(run.latest.sealed_steps(), default=0))
    if step < newest:
        raise ValueError(
            f"The state is that of step {step}, and {run.path} holds a checkpoint of step {newest}: continue from "
            "`run.resume(start).state`, or use another folder."
        )
