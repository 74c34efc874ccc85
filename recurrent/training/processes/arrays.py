"""The state of a run in several processes: read by process 0 for all of them, and compared by its hash."""

import hashlib
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from recurrent.training.checkpoints.leaves import describe
from recurrent.training.checkpoints.plain import from_plain, is_part, plain_form, to_plain
from recurrent.training.processes.agreement import Processes

__all__ = ["digest", "is_apart", "local_forms", "spread"]


def is_apart(tree: Any) -> bool:
    """Says whether arrays of a tree are split over processes; the answer is the same in all of them."""
    return any(map(is_part, jax.tree.leaves(tree)))


def local_forms(tree: Any) -> Any:
    """Returns a tree in which descriptions take the place of arrays that this process holds only a part of."""

    def form(leaf: Any) -> Any:
        is_part = isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if is_part else leaf

    return jax.tree.map(form, tree)


def spread(processes: Processes, tree: Any, like: Any) -> Any:
    """Returns process 0's tree in all processes, each leaf on the devices of that of `like`.

    Bytes are exchanged and not numbers, so that every bit arrives, that of -0.0 too.

    Args:
        processes: all of them call this.
        tree: in process 0, the tree; a description (`local_forms`) stands for the leaf of `like`.
        like: a tree of the same structure, shapes and dtypes.
    """
    if processes.count == 1:
        return tree
    leaves, structure = jax.tree.flatten(like)
    forms: list[Any] = [plain_form(leaf) for leaf in leaves]
    if processes.leads:
        found = zip(structure.flatten_up_to(tree), leaves, strict=True)
        own = [leaf if isinstance(each, jax.ShapeDtypeStruct) else each for each, leaf in found]
        forms = to_plain(0, own)
    sent = np.frombuffer(b"".join(each.tobytes() for each in forms), np.uint8)
    heard = np.asarray(multihost_utils.broadcast_one_to_all(sent))
    ends = np.cumsum([each.nbytes for each in forms])
    parts = np.split(heard, ends[:-1])
    plain = [part.view(form.dtype).reshape(form.shape) for part, form in zip(parts, forms, strict=True)]
    return jax.tree.unflatten(structure, [from_plain(each, leaf) for each, leaf in zip(plain, leaves, strict=True)])


def digest(step: int, state: Any) -> str:
    """Returns the hash of a state's bits.

    Raises:
        ValueError: it holds what can't be saved.
        FloatingPointError: a number in it is NaN.
    """
    describe(state)
    found = hashlib.sha256()
    for array in to_plain(step, state):
        found.update(array.tobytes())
    return found.hexdigest()
