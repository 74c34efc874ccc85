"""What JAX hands to a `custom_vjp` with `symbolic_zeros=True`: flagged arguments, and cotangents known to be zero."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

__all__ = ["instantiate", "is_primal", "is_zero", "values"]


def is_primal(leaf: Any) -> bool:
    """Returns whether this is an argument with the flag `perturbed`, which says whether it has a gradient."""
    return hasattr(leaf, "perturbed")


def values(tree: Any) -> Any:
    """Returns the arrays of arguments."""
    return jax.tree.map(lambda leaf: leaf.value, tree, is_leaf=is_primal)


def is_zero(cotangent: Any) -> bool:
    """Returns whether a cotangent is known to be zero, and no array."""
    return isinstance(cotangent, SymbolicZero)


def instantiate(tree: Any) -> Any:
    """Returns cotangents with arrays of zeros for those that are known to be zero."""
    return jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype) if is_zero(leaf) else leaf, tree, is_leaf=is_zero
    )
