"""The training loop: a sequence of small duties, each of which a resume repeats where it is missing.

An epoch ends in a fixed order: save, evaluate, record, best. What remains to be done depends on the state and the run
directory alone, so a run that was killed at any moment continues as if it had not been.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.training.checkpoints.leaves import check_leaves
from recurrent.training.duties import Counters, Duties
from recurrent.training.events import EpochEnd, Progress
from recurrent.training.feed import Served
from recurrent.training.iterator_feed import check_examples
from recurrent.training.mesh import check_placed, num_parts, place, replicate
from recurrent.training.plan import Plan, Trainer, settle
from recurrent.training.run.directory import RunDirectory
from recurrent.training.signals import Stopped
from recurrent.training.state import TrainState
from recurrent.training.streams import stream

__all__ = ["Fit", "fit"]


class Fit(Iterator[Progress | EpochEnd]):
    """Training that is under way: an iterator of events, as `fit` returns it.

    >>> from recurrent.training import EpochEnd
    >>> def print_epochs(training):  # of fit(...)
    ...     for event in training:
    ...         if isinstance(event, EpochEnd):
    ...             print(event.record.validation)
    ...     return training.state
    """

    def __init__(
        self, trainer: Trainer, state: TrainState, plan: Plan, run: RunDirectory, should_stop: Callable[[], Any]
    ) -> None:
        """Stores the arguments; nothing is computed before the first event is asked for."""
        self._start = state
        self._duties: Duties | None = None
        self._events = self._train(trainer, plan, run, should_stop)

    def __next__(self) -> Progress | EpochEnd:
        """Trains up to the next event."""
        return next(self._events)

    @property
    def state(self) -> TrainState:
        """Returns the state so far: after the last event, the final one, which the run directory holds too."""
        return self._start if self._duties is None else jax.tree.map(jnp.copy, self._duties.state)

    def finish(self) -> TrainState:
        """Trains to the end and returns the final state."""
        for _ in self:
            pass
        return self.state

    def _train(
        self, trainer: Trainer, plan: Plan, run: RunDirectory, should_stop: Callable[[], Any]
    ) -> Iterator[Progress | EpochEnd]:
        # A copy: steps donate their state, and if the caller used it again, the process would crash (jaxlib 0.10).
        start = place(jax.tree.map(jnp.copy, self._start), trainer.mesh)
        self._duties = duties = Duties(trainer, start, plan, run)
        dispatch = _Dispatch(duties)
        with contextlib.closing(duties.feed):
            while not duties.must_stop(bool(should_stop())):
                if duties.lacks_evaluation():
                    try:
                        yield duties.end_epoch()
                    except Stopped:  # a resume evaluates the epoch
                        break
                elif duties.is_fulfilled():
                    break
                else:
                    yield dispatch()
            duties.save()


class _Dispatch:
    """Runs some steps of an epoch at once."""

    def __init__(self, duties: Duties) -> None:
        self._duties, self._is_compiled = duties, False
        self._key = replicate(stream(duties.plan.seed, "noise", duties.run.streams), duties.trainer.mesh)

    def __call__(self) -> Progress:
        duties, served = self._duties, self._duties.serve()
        if not self._is_compiled:
            self._take(0, served)  # compiles before the clock runs
            self._is_compiled = True
        count = duties.count_steps(duties.pace.steps, served.end)
        end, start = duties.step + count, time.perf_counter()
        self._take(count, served)
        duties.pace.note(count, time.perf_counter() - start)
        return duties.end_dispatch(end)

    def _take(self, count: int, served: Served) -> None:
        duties = self._duties
        state = duties.trainer.steps(duties.state, served.examples, served.batches, self._key, jnp.int32(count))
        duties.hold(state, Counters.of(state))


def fit(
    trainer: Trainer, state: TrainState, plan: Plan, run: RunDirectory, should_stop: Callable[[], Any] = lambda: False
) -> Fit:
    """Trains until the plan is fulfilled.

    Arguments are checked at once. Training begins when the first event is asked for. The run's identity gets what its
    numbers depend on in the plan: batch size, seed, shards, the number and order of the examples, and the goal.

    Args:
        trainer: compiled steps, examples, the validation function and the mesh.
        state: the state to continue from: that of `run.resume(...)`.
        plan: number of epochs, batch size, seed.
        run: a run directory inside its `with`.
        should_stop: asked between dispatches; when it returns true, in any process, the state is saved and the loop
            returns.

    Returns:
        An iterator of events: `Progress` about every half second, and `EpochEnd` after each epoch. Its `finish()`
        trains to the end and returns the final state. `run.best_params(...)` returns the params of the best epoch.

    Raises:
        NonFiniteError: a loss, metric, gradient or new weight is NaN or infinite; the state before that step is saved.
        FloatingPointError: all steps of an epoch were skipped, or the initial params are not finite.
        ValueError: the examples' arrays differ in length, or an argument does not fit the others, or an array of the
            state is split over the mesh's data axis, or the run was trained under another plan so far, or saved at a
            later step than the state's. Or `evaluate`
            did not return numbers by name; the state is saved. Or a checkpoint was corrupted during the run.
        OSError: a checkpoint or a record can't be written, or a reader fails. Everything written before is intact.
        LostProcess: another process of the run is gone.

    >>> import tempfile
    >>> from typing import NamedTuple
    >>> import jax.numpy as jnp, numpy as np, optax
    >>> from recurrent.training import *
    >>> class Examples(NamedTuple):
    ...     x: np.ndarray
    ...     label: np.ndarray
    >>> examples = Examples(np.float32([-2, -1, 1, 2]), np.float32([0, 0, 1, 1]))
    >>> def objective(params, batch, key):
    ...     logits = batch.examples.x * params["slope"]
    ...     return binary_cross_entropy(logits, batch.examples.label, batch.weight)
    >>> def evaluate(params):
    ...     logits = examples.x * np.asarray(params["slope"])
    ...     return {"acc": ((logits > 0) == examples.label).mean()}
    >>> optimizer, mesh = optax.sgd(1.0), make_mesh(num_shards=1)
    >>> trainer = Trainer(make_train_steps(objective, optimizer, mesh), examples, evaluate, mesh)
    >>> start = init_state({"slope": jnp.zeros(())}, optimizer)
    >>> with tempfile.TemporaryDirectory() as folder, RunDirectory(folder) as run:
    ...     run.begin({"learning_rate": 1.0})
    ...     plan = Plan(epochs=2, batch_size=4, seed=0, goal=Goal("acc", "highest"))
    ...     state = fit(trainer, run.resume(start).state, plan, run).finish()
    ...     records, params = run.records(), run.best_params(like=start.params)
    []
    >>> [record.validation["acc"] for record in records], int(state.step)
    ([1.0, 1.0], 2)
    """
    if not isinstance(state, TrainState):
        raise ValueError(f"state must be a TrainState, not a {type(state).__name__}: `run.resume(...).state` is one.")
    check_examples(trainer)
    check_leaves(state)
    check_placed(state, trainer.mesh)
    return Fit(trainer, state, settle(plan, num_parts(trainer.mesh)), run, should_stop)
