"""Names for the arrays of a cell's params, so that a layer can hold each array under its own.

A cell's params may be any tree: a NamedTuple, nested ones, dicts, dataclasses, with None where an array is left out.
An array's name is its path in that tree: `recurrent_kernel`, or `gates/kernel` in a nested one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import DTypeLike

from recurrent.call.arguments import as_arrays

__all__ = ["Layout", "Partitioning", "cast", "check_partitioning", "flatten", "is_trainable", "with_dtype"]

Path = tuple[str, ...]
Partitioning = Mapping[str, tuple[str | None, ...]]
"""An array's last name -> the names of the mesh axes that its own axes are split over."""


@dataclass(frozen=True)
class Layout:
    """How named arrays form a cell's params."""

    treedef: Any = field(repr=False)
    paths: tuple[Path, ...]  # one for each array, in the tree's order

    def join(self, arrays: Sequence[Any]) -> Any:
        """Returns the params that the arrays form."""
        return jax.tree.unflatten(self.treedef, arrays)


def flatten(params: Any) -> tuple[Layout, list[Any]]:
    """Takes params apart into their layout and their arrays; a single array without a name is called `weights`.

    Plain numbers become arrays.

    Raises:
        ValueError: something in the params is not an array.

    >>> import jax, recurrent
    >>> layout, arrays = flatten(recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4))
    >>> layout.paths
    (('input_kernel',), ('recurrent_kernel',), ('bias',))
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(params)
    paths = tuple(
        tuple(jax.tree_util.keystr((key,), simple=True) for key in path) or ("weights",) for path, _ in leaves
    )
    return Layout(treedef, paths), [_as_array(path, leaf) for path, (_, leaf) in zip(paths, leaves, strict=True)]


def _as_array(path: Path, leaf: Any) -> Any:
    if isinstance(leaf, bool | int | float | complex):
        return as_arrays("params", leaf)
    if not hasattr(leaf, "dtype"):
        raise ValueError(f"The cell's params must be arrays, and {'/'.join(path)} is a {type(leaf).__name__}.")
    return leaf


def is_trainable(array: Any) -> bool:
    """Says whether an array has a gradient: integers, truth values and keys have none, and no optimizer takes them."""
    return jnp.issubdtype(array.dtype, jnp.inexact)


def cast(params: Any, dtype: DTypeLike | None) -> Any:
    """Returns params in the dtype to compute in; arrays that are not floating point stay as they are."""
    if dtype is None:
        return params

    def cast_array(array: Any) -> Any:
        return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(cast_array, params)


def with_dtype(init_options: Mapping[str, Any], dtype: DTypeLike | None) -> dict[str, Any]:
    """Returns the options for a cell's `init`, which need not know a dtype."""
    return {**({} if dtype is None else {"dtype": dtype}), **init_options}


def check_partitioning(partitioning: Partitioning, paths: Sequence[Path]) -> None:
    """Raises ValueError for a name that no array has."""
    names = {path[-1] for path in paths}
    unknown = sorted(set(partitioning) - names)
    if unknown:
        raise ValueError(f"partitioning has {', '.join(unknown)}, but the arrays are {', '.join(sorted(names))}.")
