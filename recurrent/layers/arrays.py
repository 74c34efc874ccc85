"""Names of the arrays in a cell's params, so that a layer can hold each array under its own name.

A cell's params may be any tree: NamedTuples, dicts or dataclasses, nested, with None in place of an array. An array's
name is its path in that tree: `recurrent_kernel`, or `gates/kernel` if nested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import DTypeLike

from recurrent.call.arguments import as_arrays

__all__ = ["ParamTree", "Partitioning", "Path", "check_partitioning", "flatten", "is_trainable", "with_dtype"]

Path = tuple[str, ...]
Partitioning = Mapping[str, tuple[str | None, ...]]
"""The last part of an array's name -> for each of its axes the mesh axis that it is split over, or None."""


@dataclass(frozen=True)
class ParamTree:
    """The structure of a cell's params, and the path of each array."""

    treedef: Any = field(repr=False)
    paths: tuple[Path, ...]  # one per array, in the tree's order

    def join(self, arrays: Sequence[Any]) -> Any:
        """Returns the params made of `arrays`."""
        return jax.tree.unflatten(self.treedef, arrays)


def flatten(params: Any) -> tuple[ParamTree, list[Any]]:
    """Returns the structure of params, and their arrays; params that are a single array are named `weights`.

    Plain numbers become arrays.

    Raises:
        ValueError: a leaf is not an array.

    >>> import jax, recurrent
    >>> tree, arrays = flatten(recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4))
    >>> tree.paths
    (('input_kernel',), ('recurrent_kernel',), ('bias',))
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(params)
    paths = tuple(
        tuple(jax.tree_util.keystr((key,), simple=True) for key in path) or ("weights",) for path, _ in leaves
    )
    return ParamTree(treedef, paths), [_as_array(path, leaf) for path, (_, leaf) in zip(paths, leaves, strict=True)]


def _as_array(path: Path, leaf: Any) -> Any:
    if isinstance(leaf, bool | int | float | complex):
        return as_arrays("params", leaf)
    if not hasattr(leaf, "dtype"):
        raise ValueError(f"The cell's params must be arrays, but {'/'.join(path)} is a {type(leaf).__name__}.")
    return leaf


def is_trainable(array: Any) -> bool:
    """Returns whether an array has a gradient; integers, bools and keys have none."""
    return jnp.issubdtype(array.dtype, jnp.inexact)


def with_dtype(init_options: Mapping[str, Any], dtype: DTypeLike | None) -> dict[str, Any]:
    """Returns the options of a cell's `init`, with `dtype` only if it is not None."""
    return {**({} if dtype is None else {"dtype": dtype}), **init_options}


def check_partitioning(partitioning: Partitioning, paths: Sequence[Path]) -> None:
    """Raises ValueError if `partitioning` has a name that no array has."""
    names = {path[-1] for path in paths}
    unknown = sorted(set(partitioning) - names)
    if unknown:
        raise ValueError(f"partitioning has {', '.join(unknown)}, but the arrays are {', '.join(sorted(names))}.")
