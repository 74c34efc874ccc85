"""Axes in front of arrays: mapping functions over them, merging them into one, and aligning masks with them."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Shaped

__all__ = ["align", "merge_axes", "over_axes"]


def over_axes(function: Callable[..., Any], num_axes: int) -> Callable[..., Any]:
    """Returns the function mapped over the first `num_axes` axes of all its arguments."""
    for _ in range(num_axes):
        function = jax.vmap(function)
    return function


def merge_axes(tree: Any, num_axes: int) -> Any:
    """Merges the first `num_axes` axes of each array into one."""
    return jax.tree.map(lambda leaf: leaf.reshape(math.prod(leaf.shape[:num_axes]), *leaf.shape[num_axes:]), tree)


def align(array: Shaped[Array, "*steps"], leaf: Array) -> Shaped[Array, "..."]:
    """Appends axes of length 1 to an array, so that it broadcasts against `leaf` from the first axis on."""
    return array.reshape(array.shape + (1,) * (leaf.ndim - array.ndim))
