"""Numeric precision inside a cell: matmuls in the params' dtype, the carried state in at least float32.

A state that is rounded to bfloat16 at each step loses small updates, so only the operands of matmuls are narrow.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PyTree

__all__ = ["carry_dtype", "cast", "check_features", "matmul"]


def carry_dtype(dtype: DTypeLike) -> jnp.dtype:
    """Returns the dtype of the state for params of `dtype`: float64 for float64, otherwise float32."""
    # `promote_types` refuses bfloat16 with float32 under strict promotion.
    return jnp.dtype(dtype) if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)


def cast(tree: PyTree[Array], dtype: DTypeLike | None) -> PyTree[Array]:
    """Casts the floating-point arrays of a tree to a dtype; returns the tree unchanged for None."""
    if dtype is None:
        return tree
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree)


def check_features(x: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    """Checks the shape of an input at a step.

    Raises:
        ValueError: its length differs from the kernel's number of rows.
    """
    if x[-1] != kernel[0]:
        raise ValueError(f"x has {x[-1]} features, but the kernel takes {kernel[0]}: {x} @ {kernel}.")


def matmul(x: Float[Array, "rows"], kernel: Float[Array, "rows columns"]) -> Float[Array, "columns"]:
    """Multiplies in the kernel's dtype; accumulates and returns `carry_dtype` of it.

    Raises:
        ValueError: the length of x differs from the kernel's number of rows.
    """
    check_features(x.shape, kernel.shape)
    return jax.lax.dot(x.astype(kernel.dtype), kernel, preferred_element_type=carry_dtype(kernel.dtype))
