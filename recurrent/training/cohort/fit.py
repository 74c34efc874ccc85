"""The training loop of many runs in one program; each has its own run directory, as if it had been trained alone."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from recurrent.training.checkpoints.leaves import check_leaves
from recurrent.training.cohort.dispatch import Dispatch, or_error
from recurrent.training.cohort.steps import CohortSteps
from recurrent.training.duties import Duties
from recurrent.training.events import EpochEnd, Progress
from recurrent.training.iterator_feed import BatchIterator, check_examples
from recurrent.training.mesh import AXIS, replicate
from recurrent.training.plan import Plan, Trainer, settle
from recurrent.training.reader_feed import ExampleReader
from recurrent.training.run.directory import RunDirectory
from recurrent.training.signals import Stopped
from recurrent.training.state import TrainState

__all__ = ["FitMany", "OfRun", "fit_many"]


class OfRun(NamedTuple):
    """An event of one run of a cohort.

    Attributes:
        run: its number, from 0, in the order in which `fit_many` was given the runs.
        event: as `fit` yields it, or the error with which this run ended, such as a `NonFiniteError`; the state before
            that step is saved.

    >>> from recurrent.training import OfRun, Progress
    >>> OfRun(run=3, event=Progress(epoch=1, step=20, means={"loss": 0.69})).run
    3
    """

    run: int
    event: Progress | EpochEnd | FloatingPointError


class FitMany(Iterator[OfRun]):
    """Training of many runs that is under way: an iterator of events, as `fit_many` returns it.

    >>> from recurrent.training import EpochEnd
    >>> def print_epochs(training):  # of fit_many(...)
    ...     for run, event in training:
    ...         if isinstance(event, EpochEnd):
    ...             print(run, event.record.validation)
    ...     return training.states
    """

    def __init__(
        self,
        steps: CohortSteps,
        trainer: Trainer,
        starts: Sequence[TrainState],
        plans: Sequence[Plan],
        runs: Sequence[RunDirectory],
        numbers: Sequence[Any],
        should_stop: Callable[[], Any],
    ) -> None:
        """Stores the arguments; nothing is computed before the first event is asked for."""
        self._starts = list(starts)
        self._duties: list[Duties] = []
        self._events = self._train(steps, trainer, plans, runs, numbers, should_stop)

    def __next__(self) -> OfRun:
        """Trains up to the next event."""
        return next(self._events)

    @property
    def states(self) -> list[TrainState]:
        """Returns the state of each run so far; after the last event, the final ones."""
        return [duties.state for duties in self._duties] or self._starts

    def finish(self) -> list[TrainState]:
        """Trains all runs to their end and returns their states.

        Raises:
            FloatingPointError: a run met a number that is not finite; the others are trained to their end before.
        """
        errors = [event for _, event in self if isinstance(event, FloatingPointError)]
        if errors:
            raise errors[0]
        return self.states

    def _train(
        self,
        steps: CohortSteps,
        trainer: Trainer,
        plans: Sequence[Plan],
        runs: Sequence[RunDirectory],
        numbers: Sequence[Any],
        should_stop: Callable[[], Any],
    ) -> Iterator[OfRun]:
        on_cohort, shared = trainer._replace(mesh=steps.mesh), None
        if not isinstance(trainer.examples, ExampleReader):
            shared = replicate(trainer.examples, steps.mesh)
            on_cohort = on_cohort._replace(examples=shared)
        self._duties = [
            Duties(on_cohort, *each, num_runs=len(runs)) for each in zip(self._starts, plans, runs, strict=True)
        ]
        with contextlib.ExitStack() as stack:
            for duties in self._duties:
                stack.callback(duties.feed.close)
            yield from self._follow(Dispatch(steps, shared, self._duties, numbers), should_stop)

    def _follow(self, dispatch: Dispatch, should_stop: Callable[[], Any]) -> Iterator[OfRun]:
        open_runs, failed = list(range(len(self._duties))), set[int]()
        try:
            while not should_stop():
                for index in [each for each in open_runs if self._duties[each].lacks_evaluation()]:
                    event = OfRun(index, or_error(self._duties[index].end_epoch))
                    failed |= {index} if isinstance(event.event, FloatingPointError) else set()
                    yield event
                    if should_stop():
                        raise Stopped
                open_runs = [each for each in open_runs if each not in failed and not self._duties[each].is_fulfilled()]
                if not open_runs:
                    break
                for index, reached in dispatch(open_runs):
                    event = OfRun(index, reached)
                    failed |= {event.run} if isinstance(event.event, FloatingPointError) else set()
                    yield event
                open_runs = [each for each in open_runs if each not in failed]
        except Stopped:  # a resume evaluates the epoch
            pass
        for index in open_runs:
            if index not in failed:
                self._duties[index].save()


def fit_many(
    steps: CohortSteps,
    trainer: Trainer,
    starts: Sequence[TrainState],
    plans: Sequence[Plan],
    runs: Sequence[RunDirectory],
    numbers: Sequence[Any] = (),
    should_stop: Callable[[], Any] = lambda: False,
) -> FitMany:
    """Trains many runs until the plan of each is fulfilled.

    Each run has what it would have if `fit` trained it alone: records, checkpoints, identity. So a run can be resumed
    alone or in another cohort; where a device computes one run after the other and no numbers differ, as on a CPU, its
    bits are the same too. A run's seconds are its share of the time of all.

    Args:
        steps: of `make_cohort_steps`.
        trainer: examples in arrays, or a reader, which each run reads in an order of its own; and the validation
            function, which is called for one run after the other. Its `steps` are not used.
        starts: the states to continue from, one a run: those of `run.resume(...)`.
        plans: one a run; they have one batch size and number of shards.
        runs: run directories inside their `with`.
        numbers: what the optimizer is made from, one a run; trees of the same structure, of NumPy's or JAX's numbers.
        should_stop: as in `fit`.

    Returns:
        An iterator of `OfRun`. Its `finish()` trains all runs to their end and returns their states.

    Raises:
        FloatingPointError: by `finish()` alone, as from `fit`; the iterator yields it as the event of its run, and the
            others go on.
        ValueError: the numbers of starts, plans, runs and numbers differ; states or plans do not fit each other; the
            examples are an iterator's; there are several processes. And as from `fit`.
        OSError: as from `fit`.

    >>> import contextlib, tempfile
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
    >>> optimizer, mesh = optax.sgd(1.0), make_mesh(num_shards=1)
    >>> trainer = Trainer(make_train_steps(objective, optimizer, mesh), examples, lambda params: {"loss": 0.0}, mesh)
    >>> steps = make_cohort_steps(objective, optimizer, make_cohort_mesh(num_runs=3, num_shards=1))
    >>> start = init_state({"slope": jnp.zeros(())}, optimizer)
    >>> plans = [Plan(epochs=2, batch_size=4, seed=seed) for seed in range(3)]
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
    ...     runs = [stack.enter_context(RunDirectory(f"{folder}/{plan.seed}")) for plan in plans]
    ...     warnings = [run.begin({"learning_rate": 1.0}) for run in runs]
    ...     starts = [run.resume(start).state for run in runs]
    ...     states = fit_many(steps, trainer, starts, plans, runs).finish()
    >>> [int(state.step) for state in states]
    [2, 2, 2]
    """
    if jax.process_count() > 1:
        raise ValueError("fit_many trains in one process; in several, give each of them runs of its own.")
    if isinstance(trainer.examples, BatchIterator):
        raise ValueError("fit_many needs examples in arrays, or a reader: an iterator has one order for all runs.")
    numbers = list(numbers) or [()] * len(runs)
    given = {"starts": starts, "plans": plans, "runs": runs, "numbers": numbers}
    sizes = {name: len(each) for name, each in given.items()}
    if not runs or len(set(sizes.values())) > 1:
        raise ValueError(f"fit_many needs one start, plan and run directory a run, not {sizes}.")
    if steps.takes_numbers and not jax.tree.leaves(numbers):
        raise ValueError("The steps make an optimizer from a run's numbers: pass `numbers`, one tree of them a run.")
    if len({str(jax.tree.structure(each)) for each in numbers}) > 1:
        raise ValueError(f"numbers must have the same names in all runs, not {numbers}.")
    check_examples(trainer)
    for state in starts:
        _check_start(state, starts[0])
    settled = [settle(plan, steps.mesh.shape[AXIS]) for plan in plans]
    cuts = {(plan.batch_size, plan.num_shards) for plan in settled}
    if len(cuts) > 1:
        raise ValueError(f"The plans' batch_size and num_shards must be equal, not {sorted(cuts)}.")
    return FitMany(steps, trainer, starts, settled, runs, numbers, should_stop)


def _check_start(state: Any, first: Any) -> None:
    if not isinstance(state, TrainState):
        raise ValueError(f"starts must hold TrainStates, not a {type(state).__name__}: `run.resume(...).state` is one.")
    check_leaves(state)
    forms = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), each) for each in (state, first)]
    if forms[0] != forms[1]:
        raise ValueError(f"The states differ in structure, shapes or dtypes: {forms[0]} and {forms[1]}.")
