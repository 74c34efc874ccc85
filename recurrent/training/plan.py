"""How long to train and on what, and the checks of both, which `fit` makes before anything is computed."""

import dataclasses
from typing import Any

import jax
import numpy as np

from recurrent.training.arguments import integer
from recurrent.training.streams import check_seed

__all__ = ["Plan", "count_rows", "settle"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long to train, in what order, and when to save. `fit` refuses a plan that can't be.

    Args:
        epochs: in all; a run that has trained as many or more has nothing left to do.
        batch_size: examples a step; the last batch of an epoch may be shorter.
        seed: from 0 to 2**64 - 1; the order of the data and the noise of a step derive from it.
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


def settle(plan: Plan, num_devices: int) -> Plan:
    """Returns a plan of Python's own integers.

    Raises:
        ValueError: one is no integer or out of its range, or batch, shards and devices do not divide each other.
    """
    at_least_one = ("epochs", "batch_size", "num_shards", "save_every")
    settled = {name: integer(name, getattr(plan, name), 1) for name in at_least_one}
    if plan.patience is not None:
        settled["patience"] = integer("patience", plan.patience, 0)
    plan = dataclasses.replace(plan, seed=check_seed(plan.seed), **settled)
    if plan.batch_size % plan.num_shards:
        raise ValueError(f"num_shards ({plan.num_shards}) must divide batch_size ({plan.batch_size}).")
    if plan.num_shards % num_devices:
        raise ValueError(
            f"num_shards ({plan.num_shards}) must be a multiple of the {num_devices} devices of the mesh: "
            f"make_mesh({plan.num_shards}) makes one that fits."
        )
    return plan


def count_rows(name: str, tree: Any) -> int:
    """Counts the rows of a tree of arrays [rows, ...].

    Raises:
        ValueError: there is no array, one has no rows, or their numbers differ; a short one would be read beyond its
            end, where JAX repeats the last row.
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
