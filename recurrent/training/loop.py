"""The training loop: a sequence of small duties, each of which a resume repeats where it is missing.

An epoch ends in a fixed order: save, evaluate, record, best. What remains to be done depends on the state and the run
directory alone, so a run that was killed at any moment continues as if it had not been.
"""

from collections.abc import Callable, Iterator
from typing import Any

from recurrent.training.checkpoints.leaves import check_leaves
from recurrent.training.duties import Duties
from recurrent.training.events import EpochEnd, Progress
from recurrent.training.plan import Plan, Trainer, count_rows, settle
from recurrent.training.run.directory import RunDirectory
from recurrent.training.signals import Stopped
from recurrent.training.state import TrainState

__all__ = ["fit"]


def fit(
    trainer: Trainer, state: TrainState, plan: Plan, run: RunDirectory, should_stop: Callable[[], Any] = lambda: False
) -> Iterator[Progress | EpochEnd]:
    """Trains until the plan is fulfilled. The final state is in the run directory.

    Arguments are checked at once. Training begins when the first event is asked for.

    Args:
        trainer: compiled steps, examples, the validation function and the mesh.
        state: the state to continue from: that of `run.resume(...)`.
        plan: number of epochs, batch size, seed.
        run: a run directory inside its `with`.
        should_stop: asked between dispatches; when it returns true, the state is saved and the loop returns.

    Yields:
        `Progress` about every half second, and `EpochEnd` after each epoch.

    Raises:
        NonFiniteError: a loss, gradient or new weight is NaN or infinite; the state before that step is saved.
        FloatingPointError: all steps of an epoch were skipped, or the initial params are not finite.
        ValueError: the examples' arrays differ in length, or an argument does not fit the others. Or `evaluate` did not
            return two numbers; the state is saved. Or a checkpoint was corrupted during the run.
        OSError: a checkpoint or a record can't be written. Everything written before is intact.

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
    ...     return np.log1p(np.exp(-np.abs(logits))).mean(), ((logits > 0) == examples.label).mean()
    >>> optimizer, mesh = optax.sgd(1.0), make_mesh(num_shards=1)
    >>> trainer = Trainer(make_train_steps(objective, optimizer, mesh), examples, evaluate, mesh)
    >>> start = init_state({"slope": jnp.zeros(())}, optimizer)
    >>> with tempfile.TemporaryDirectory() as folder, RunDirectory(folder) as run:
    ...     run.begin({"learning_rate": 1.0})
    ...     state = run.resume(start).state
    ...     events = list(fit(trainer, state, Plan(epochs=2, batch_size=4, seed=0), run))
    []
    >>> [event.record.val_acc for event in events if isinstance(event, EpochEnd)]
    [1.0, 1.0]
    """
    if not isinstance(state, TrainState):
        raise ValueError(f"state must be a TrainState, not a {type(state).__name__}: `run.resume(...).state` is one.")
    if not count_rows("examples", trainer.examples):
        raise ValueError("There are no examples to train on.")
    check_leaves(state)
    return _train(trainer, state, settle(plan, trainer.mesh.size), run, should_stop)


def _train(
    trainer: Trainer, state: TrainState, plan: Plan, run: RunDirectory, should_stop: Callable[[], Any]
) -> Iterator[Progress | EpochEnd]:
    duties = Duties(trainer, state, plan, run)
    while not should_stop():
        if duties.lacks_evaluation():
            try:
                yield duties.end_epoch()
            except Stopped:  # a resume evaluates the epoch
                break
        elif duties.is_fulfilled():
            break
        else:
            yield duties.dispatch()
    duties.save()
