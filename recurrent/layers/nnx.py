"""Recurrent layers for Flax NNX: `run` with its params in a module, and no meaning of their own."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float

from recurrent.batch import run
from recurrent.cells.protocol import Cell

__all__ = ["Recurrent"]


class Recurrent(nnx.Module):
    """One cell over a batch of sequences.

    >>> import jax.numpy as jnp, recurrent
    >>> from flax import nnx
    >>> from recurrent.layers.nnx import Recurrent
    >>> layer = Recurrent(recurrent.lstm, input_size=3, hidden_size=4, rngs=nnx.Rngs(0))
    >>> outputs, final = layer(jnp.ones((2, 5, 3)))
    >>> outputs.shape, final.hidden.shape
    ((2, 5, 4), (2, 4))
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        *,
        reverse: bool = False,
        segment_size: int | None = None,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
        **init_options: Any,
    ) -> None:
        """Draws the cell's params.

        Args:
            dtype: computes matmuls and returns outputs in it; by default matmuls have the params' dtype and outputs
                the inputs'. The state is kept in at least float32.
            init_options: for the cell's `init`, such as `forget_bias`.
        """
        self.cell = cell
        self.reverse = reverse
        self.segment_size = segment_size
        self.dtype = dtype
        self.params = nnx.Param(cell.init(rngs.params(), input_size, hidden_size, dtype=param_dtype, **init_options))

    def __call__(
        self,
        inputs: Float[Array, "*batch time input"],
        *,
        is_token: Bool[Array, "*batch time"] | None = None,
        is_start: Bool[Array, "*batch time"] | None = None,
        initial: Any = None,
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns outputs and final state, always; the arguments are those of `recurrent.run`."""
        params = self.params.get_value()
        if self.dtype is not None:
            params = jax.tree.map(lambda array: array.astype(self.dtype), params)
        return run(
            self.cell,
            params,
            inputs,
            is_token=is_token,
            is_start=is_start,
            initial=initial,
            reverse=self.reverse,
            segment_size=self.segment_size,
            dtype=self.dtype,
        )
