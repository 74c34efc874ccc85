"""What is trained and for how long, and the checks of both that `fit` makes before anything is computed."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int

from recurrent.call.arguments import integer
from recurrent.training.run.records import LOWEST_LOSS, Goal
from recurrent.training.step import TrainSteps
from recurrent.training.streams import check_seed

__all__ = ["Plan", "Trainer", "count_rows", "identity", "settle"]


class Trainer(NamedTuple):
    """What the loop calls.

    Attributes:
        steps: the compiled training steps: `make_train_steps(...)`.
        examples: the data set, a NamedTuple of arrays `[examples, ...]`; or, for data larger than memory, an
            `ExampleReader` or a `BatchIterator`.
        evaluate: the validation function, params -> numbers by name, such as {"loss": 0.7, "acc": 0.5}, or the pair
            (loss, accuracy). It gets the averaged params if the state has them. It may raise `Stopped`.
        mesh: the devices; the same as that of `steps`.
        sizes: of the examples, such as their lengths, `[examples]`: batches then hold examples of similar size, in an
            order that is drawn for each epoch. None: batches are drawn at random.

    >>> import optax
    >>> from recurrent.training import Trainer, make_mesh, make_train_steps
    >>> mesh = make_mesh(num_shards=1)
    >>> steps = make_train_steps(lambda params, batch, key: ..., optax.sgd(0.1), mesh)
    >>> trainer = Trainer(steps, examples=..., evaluate=lambda params: {"loss": 0.69}, mesh=mesh)
    """

    steps: TrainSteps
    examples: Any
    evaluate: Callable[[Any], Mapping[str, Any]]
    mesh: Mesh
    sizes: Int[np.ndarray, "examples"] | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long to train, in what order, and when to save. `fit` checks the values.

    Args:
        epochs: in total; a run that has trained as many or more has nothing left to do.
        batch_size: examples per step; the last batch of an epoch may be shorter.
        seed: from 0 to 2**64 - 1; the order of the data and the noise of a step derive from it.
        num_shards: parts of a batch that devices may share; see `make_mesh`.
        save_every: steps between saves, in addition to the save at each epoch's end.
        patience: stops when no epoch was the best one for more than this many epochs; None never does.
        goal: what makes an epoch the best one; the lowest validation loss by default.

    >>> from recurrent.training import Plan
    >>> Plan(epochs=10, batch_size=128, seed=0).save_every
    1000
    """

    epochs: int
    batch_size: int
    seed: int
    num_shards: int = 1
    save_every: int = 1000
    patience: int | None = None
    goal: Goal = LOWEST_LOSS


def settle(plan: Plan, num_devices: int) -> Plan:
    """Returns the plan with Python's own integers.

    Raises:
        ValueError: a value is not an integer or out of range, or batch, shards and devices do not divide each other.
    """
    at_least_one = ("epochs", "batch_size", "num_shards", "save_every")
    settled: dict[str, Any] = {name: integer(name, getattr(plan, name), 1) for name in at_least_one}
    if plan.patience is not None:
        settled["patience"] = integer("patience", plan.patience, 0)
    if not isinstance(plan.goal, Goal):
        raise ValueError(f'goal must be a Goal, such as Goal("acc", "highest"), not {plan.goal!r}.')
    plan = dataclasses.replace(plan, seed=check_seed(plan.seed), **settled)
    if plan.batch_size % plan.num_shards:
        raise ValueError(f"num_shards ({plan.num_shards}) must divide batch_size ({plan.batch_size}).")
    if plan.num_shards % num_devices:
        raise ValueError(
            f"num_shards ({plan.num_shards}) must be a multiple of the {num_devices} devices of the mesh's data axis: "
            f"make_mesh({plan.num_shards}) makes one that fits."
        )
    return plan


def identity(plan: Plan, num_examples: int | None, steps_per_epoch: int, has_sizes: bool) -> dict[str, Any]:
    """Returns what a run's numbers depend on in its plan; epochs and patience may change when a run continues."""
    found = {name: getattr(plan, name) for name in ("batch_size", "seed", "num_shards")}
    order = "iterator" if num_examples is None else "by size" if has_sizes else "shuffled"
    found |= {"examples": num_examples, "order": order, "goal": dataclasses.asdict(plan.goal)}
    # Of arrays, it follows from the numbers of examples and rows.
    return {**found, "steps_per_epoch": steps_per_epoch} if num_examples is None else found


def count_rows(name: str, tree: Any) -> int:
    """Counts the rows of a tree of arrays [rows, ...].

    Raises:
        ValueError: there is no array, one has no rows, or their numbers of rows differ. JAX would read a short array
            beyond its end by repeating its last row.
    """
    counts: dict[str, int] = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        where = name + jax.tree_util.keystr(keys)
        if not isinstance(getattr(leaf, "shape", None), tuple) or not leaf.shape:
            raise ValueError(f"{where} is {_short(leaf)}, not an array [rows, ...]: np.asarray makes one of a list.")
        if isinstance(leaf.dtype, np.dtype) and leaf.dtype.kind in "OSUMm":
            raise ValueError(f"{where} has dtype {leaf.dtype}: JAX has no such arrays.")
        counts[where] = leaf.shape[0]
    if not counts:
        raise ValueError(f"{name} holds no arrays.")
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} in {where}" for where, count in counts.items())
        raise ValueError(f"{name} differ in their number of rows: {found}.")
    return next(iter(counts.values()))


def _short(value: Any) -> str:
    text = repr(value)
    return f"the {type(value).__name__} {text if len(text) < 40 else text[:40] + '...'}"
