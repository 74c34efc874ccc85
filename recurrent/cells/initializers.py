"""Initial weights with Keras' defaults: Glorot-uniform input kernels and orthogonal recurrent kernels.

Both are *joint*, over the blocks of all gates: the limit of a Glorot-uniform kernel counts all columns, and a recurrent
kernel `U` satisfies ``U U^T = I`` as a whole, while its blocks alone are not orthogonal.

Sources: Glorot & Bengio (2010); Saxe, McClelland & Ganguli (2014); chrono: Tallec & Ollivier (2018).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

from recurrent.cells.precision import carry_dtype
from recurrent.shapes import RandomKey

__all__ = ["Initializer", "check_sizes", "chrono", "glorot_uniform", "orthogonal", "sizes"]

Initializer = Callable[[RandomKey, tuple[int, ...], DTypeLike], Array]
"""Draws a kernel: (key, shape, dtype) -> array, the signature of `jax.nn.initializers`."""


def glorot_uniform(
    key: RandomKey, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "rows columns"]:
    """Draws from U(-limit, limit) with limit = sqrt(6 / (rows + columns))."""
    return jax.nn.initializers.glorot_uniform()(key, shape, dtype)


def orthogonal(key: RandomKey, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Float[Array, "rows columns"]:
    """Draws a matrix with orthonormal rows, or orthonormal columns if there are fewer of them, uniformly over all such.

    It is drawn and factorized in at least float32, since there is no QR decomposition in bfloat16.
    """
    return jax.nn.initializers.orthogonal()(key, shape, carry_dtype(dtype)).astype(dtype)


def chrono(key: RandomKey, hidden_size: int, num_steps: int, dtype: DTypeLike = jnp.float32) -> Float[Array, "hidden"]:
    """Draws biases log U[1, num_steps - 1]: a gate sigmoid(b) keeps its unit's content for about exp(b) steps.

    Raises:
        ValueError: `num_steps` is below 3.
    """
    if num_steps < 3:
        raise ValueError(f"chrono_steps must be at least 3, not {num_steps}: biases are log U[1, chrono_steps - 1].")
    return jnp.log(jax.random.uniform(key, (hidden_size,), carry_dtype(dtype), 1, num_steps - 1)).astype(dtype)


def check_sizes(input_size: int, hidden_size: int) -> None:
    """Raises ValueError unless both sizes are at least 1."""
    if input_size < 1 or hidden_size < 1:
        raise ValueError(f"input_size and hidden_size must be at least 1, not {input_size} and {hidden_size}.")


def sizes(params: Any) -> tuple[int, int]:
    """Returns input_size and hidden_size of params that have two kernels."""
    return params.input_kernel.shape[0], params.recurrent_kernel.shape[0]
