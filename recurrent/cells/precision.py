"""Numeric precision inside a cell: matmuls in the params' dtype, everything that is carried in at least float32.

A state rounded to bfloat16 at every step forgets what a gate wanted to keep, so only the matmuls' operands are narrow.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float


def carry_dtype(dtype: DTypeLike) -> jnp.dtype:
    """Returns the dtype in which state is kept for params of `dtype`: float32, or float64 for float64."""
    # Not `promote_types`, which refuses bfloat16 with float32 where a user has set strict promotion.
    return jnp.dtype(dtype) if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)


def matmul(x: Float[Array, "rows"], kernel: Float[Array, "rows columns"]) -> Float[Array, "columns"]:
    """Multiplies in the kernel's dtype; accumulates and returns `carry_dtype(kernel.dtype)`.

    Raises:
        ValueError: x has another number of features than the kernel has rows.
    """
    if x.shape[-1] != kernel.shape[0]:
        raise ValueError(
            f"x has {x.shape[-1]} features but the kernel takes {kernel.shape[0]}: {x.shape} @ {kernel.shape}."
        )
    return jax.lax.dot(x.astype(kernel.dtype), kernel, preferred_element_type=carry_dtype(kernel.dtype))
