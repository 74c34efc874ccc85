"""Loops on a mesh of devices: equal varying axes for carries under `shard_map`, and Auto axes inside the call.

`jax.shard_map` tracks the mesh axes over which a value varies, and a loop's carry must keep them. `jax.make_mesh` makes
Explicit axes, which require a sharding for the results of many operations; inside a call they become Auto, and results
are sharded along the batch as the inputs are.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
from jax.extend.core import Var
from jax.sharding import AxisType, NamedSharding, PartitionSpec

__all__ = ["is_placed_in_parts", "is_split", "is_varying", "on_auto_axes", "vary_alike", "vary_like"]

Tree = TypeVar("Tree")


def vary_alike(tree: Tree) -> Tree:
    """Makes all arrays of a tree vary over the mesh axes over which any of them varies."""
    return vary_like(tree, tree)


def vary_like(tree: Tree, like: Any) -> Tree:
    """Makes all arrays of a tree vary over the mesh axes over which any array of `like` varies."""
    axes = frozenset().union(*(_varying(leaf) for leaf in jax.tree.leaves(like)))
    return jax.tree.map(partial(_vary, axes), tree) if axes else tree


def is_varying(tree: Any) -> bool:
    """Returns whether any array of a tree varies over mesh axes."""
    return any(map(_varying, jax.tree.leaves(tree)))


def _varying(leaf: Any) -> frozenset[str]:
    """Returns the mesh axes over which an array, or a variable of a jaxpr, varies."""
    kind = leaf.aval if isinstance(leaf, Var) else jax.typeof(leaf)
    return kind.manual_axis_type.varying if hasattr(kind, "manual_axis_type") else getattr(kind, "vma", frozenset())


def _vary(axes: frozenset[str], leaf: Any) -> Any:
    missing = tuple(sorted(axes - _varying(leaf)))
    return jax.lax.pcast(leaf, missing, to="varying") if missing else leaf


def on_auto_axes(function: Callable[..., Any], num_batch_axes: Any, inputs: Any, *arguments: Any) -> Any:
    """Returns ``function(inputs, *arguments)``, computed with the Explicit axes of the mesh as Auto ones.

    Args:
        num_batch_axes: the number of leading axes whose sharding the results take over from the inputs: one number, or
            a tree that is a prefix of the results.
    """
    if not any(_is_explicit(leaf) for leaf in jax.tree.leaves((inputs, arguments))):
        return function(inputs, *arguments)
    sharding = jax.typeof(jax.tree.leaves(inputs)[0]).sharding

    def shard(num_axes: int) -> NamedSharding:
        return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[:num_axes]))

    return jax.sharding.auto_axes(function, out_sharding=jax.tree.map(shard, num_batch_axes))(inputs, *arguments)


def is_split(leaf: Any) -> bool:
    """Returns whether an array is sharded over Explicit axes of more than one device."""
    return _is_explicit(leaf) and not jax.typeof(leaf).sharding.is_fully_replicated


def is_placed_in_parts(leaf: Any) -> bool:
    """Returns whether devices hold different parts of an array; False where that can't be seen, as under `jit`."""
    sharding = None if isinstance(leaf, jax.core.Tracer) else getattr(leaf, "sharding", None)
    return sharding is not None and not sharding.is_fully_replicated


def _is_explicit(leaf: Any) -> bool:
    return AxisType.Explicit in getattr(jax.typeof(leaf).sharding.mesh, "axis_types", ())
