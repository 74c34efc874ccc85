"""Keras' recurrent dropout: an LSTM or GRU with a dropout mask of its own for each gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from recurrent.cells import lstm
from recurrent.cells.precision import matmul
from recurrent.cells.wrapped import Wrapped

__all__ = ["GateMasks"]


class _State(NamedTuple):
    """The cell's own state, and the masks of the hidden state, one for each gate."""

    of_cell: Any
    masks: tuple[Float[Array, "hidden"], ...]


@dataclass(frozen=True)
class GateMasks(Wrapped):
    """An LSTM or a GRU whose gates see the hidden state, and the input, each through a mask of its own.

    The input is a tuple with the masked input of each gate, or one array. The masks of the hidden state are carried in
    the state, since they belong to the example.
    """

    cell: Any

    State = _State

    def zero_state(self, params: Any) -> _State:
        """Returns the cell's zero state, with masks of ones."""
        return self.with_masks(self.cell.zero_state(params), None)

    def with_masks(self, state: Any, masks: Sequence[Array] | None) -> _State:
        """Returns a state for the cell's own state and the masks of the hidden state; None for masks of ones."""
        if masks is None:
            masks = [jnp.ones_like(state.hidden) for _ in self.cell.GATES]  # one each: a buffer is donated only once
        return _State(state, tuple(masks))

    def project(self, params: Any, x: Any) -> Any:
        """Returns what the cell's `project` returns, block by block."""
        if not isinstance(x, tuple):
            return self.cell.project(params, x)
        bias = params.bias if self.cell is lstm else params.bias[0]
        blocks = [
            _multiply(own, kernel, block)
            for own, kernel, block in zip(x, self._split(params.input_kernel), self._split(bias), strict=True)
        ]
        return jnp.concatenate(blocks) if self.cell is lstm else tuple(blocks)

    def recur(self, params: Any, state: _State) -> Any:
        """Returns what the cell's `recur` returns, block by block."""
        bias = jnp.zeros_like(params.bias) if self.cell is lstm else params.bias[1]
        kernels, biases = self._split(params.recurrent_kernel), self._split(bias)
        hidden = [state.of_cell.hidden * mask for mask in state.masks]
        return jnp.concatenate([_multiply(*each) for each in zip(hidden, kernels, biases, strict=True)])

    def update(self, params: Any, state: _State, projected: Any, recurrent: Any) -> tuple[_State, Any]:
        """Computes the cell's step; the masks stay."""
        after, output = self.cell.update(params, state.of_cell, projected, recurrent)
        return _State(after, state.masks), output

    def _split(self, array: Array) -> list[Array]:
        return jnp.split(array, len(self.cell.GATES), axis=-1)


def _multiply(x: Array, kernel: Array, bias: Array) -> Array:
    product = matmul(x, kernel)
    return product + bias.astype(product.dtype)
