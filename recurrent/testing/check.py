"""The battery of checks for anybody's cell."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import DTypeLike

from recurrent.cells.precision import cast
from recurrent.shapes import RandomKey
from recurrent.testing.functions import check_functions, check_purity, check_sizes
from recurrent.testing.initial import check_protocol, draw_params
from recurrent.testing.sequences import SHAPE, check_sequences

__all__ = ["check_cell"]


def check_cell(
    cell: Any,
    *,
    input_size: int = 3,
    hidden_size: int = 4,
    key: RandomKey | None = None,
    dtypes: Sequence[DTypeLike] = ("float32", "float64", "bfloat16"),
) -> None:
    """Checks that a cell keeps the rules of cells, so that all of this library works with it.

    It calls each function alone, then runs short sequences with masks, resets and NaN in the padding, and compares
    values and gradients of a loop over `step` with those of `scan_cell` and of `run` on every backend that can run the
    cell. Everything is computed under JAX's strict promotion of ranks and dtypes, which users may set.

    Args:
        cell: a module, or an instance such as one of a frozen dataclass.
        input_size: features of a step.
        hidden_size: units.
        key: a key from `jax.random.key`, for params and inputs; by default that of seed 0.
        dtypes: of the params. Leave out those that your cell does not support.

    Raises:
        AssertionError: the cell breaks a rule; the message says which one and what to do.

    >>> import recurrent
    >>> from recurrent.testing import check_cell
    >>> check_cell(recurrent.simple_rnn, dtypes=["float32"])
    >>> check_cell(recurrent.inspect)
    Traceback (most recent call last):
    AssertionError: inspect lacks init, zero_state, project, recur, update: recurrent.Cell describes them.
    """
    check_protocol(cell)
    params_key, inputs_key = jax.random.split(jax.random.key(0) if key is None else jax.random.clone(key))
    params = draw_params(cell, params_key, input_size, hidden_size)
    inputs = jax.random.normal(inputs_key, (*SHAPE, input_size), jnp.float32)
    for dtype in dtypes:  # the quick checks first
        with _strict(dtype):
            of_dtype, x = cast((params, inputs[0, 0]), dtype)
            check_functions(cell, of_dtype, x)
            check_purity(cell, of_dtype, x)
            check_sizes(cell, jax.random.clone(params_key), (input_size, hidden_size), of_dtype, x)
    for dtype in dtypes:
        with _strict(dtype):
            check_sequences(cell, *cast((params, inputs), dtype))


@contextmanager
def _strict(dtype: DTypeLike) -> Iterator[None]:
    """Refuses all promotion, and allows arrays of float64 where one is checked."""
    with (
        jax.enable_x64(jnp.dtype(dtype) == jnp.float64),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    ):
        yield
