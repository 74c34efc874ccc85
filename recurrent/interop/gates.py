"""Blocks of gates by name: a kernel holds one block of units per gate, and libraries order them differently.

JAX arrays stay JAX arrays, so that a map may be traced; all others are NumPy's, and nothing is computed by JAX.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Gates", "add", "join", "namespace", "reorder", "split", "zeros_like"]

Gates = Sequence[str]
"""The names of the gates in the order of a kernel's blocks, such as ``("update", "reset", "candidate")``."""


def namespace(*arrays: Any) -> Any:
    """Returns `jax.numpy` if one of the arrays is JAX's, and NumPy otherwise."""
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np


def split(array: Any, gates: Gates, axis: int = -1) -> dict[str, Any]:
    """Splits an array into blocks of equal size.

    >>> split(np.arange(6), ("update", "reset", "candidate"))["reset"]
    array([2, 3])
    """
    return dict(zip(gates, namespace(array).split(array, len(gates), axis), strict=True))


def join(blocks: Mapping[str, Any], gates: Gates, axis: int = -1) -> Any:
    """Joins blocks in the order of `gates`."""
    return namespace(*blocks.values()).concatenate([blocks[gate] for gate in gates], axis)


def reorder(array: Any, before: Gates, after: Gates, axis: int = -1) -> Any:
    """Moves the blocks of an array from one order into another.

    >>> reorder(np.arange(6), before=("reset", "update", "candidate"), after=("update", "reset", "candidate"))
    array([2, 3, 0, 1, 4, 5])
    """
    return array if tuple(before) == tuple(after) else join(split(array, before, axis), after, axis)


def add(one: Any, other: Any) -> Any:
    """Adds two biases, rounded once to their dtype; where one is zero, the other keeps its bits (that of -0 too)."""
    either = namespace(one, other)
    return either.where(other == 0, one, either.where(one == 0, other, one + other))


def zeros_like(array: Any) -> Any:
    """Returns zeros in the shape and dtype of an array."""
    return namespace(array).zeros_like(array)
