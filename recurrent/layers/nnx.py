"""Layers for Flax NNX: `run` and `run_network` with their params in a module, and no meaning of their own."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float, Int

from recurrent import network
from recurrent.batch import run, run_final
from recurrent.cells.protocol import Cell
from recurrent.shapes import RandomKey

__all__ = ["Network", "Recurrent"]


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
        backend: str = "auto",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
        **init_options: Any,
    ) -> None:
        """Draws the cell's params.

        Args:
            segment_size, backend: as in `recurrent.run`.
            dtype: computes matmuls and returns outputs in it; by default matmuls have the params' dtype and outputs
                the inputs'. The state is kept in at least float32.
            init_options: for the cell's `init`, such as `forget_bias`.
        """
        self.cell = cell
        self.reverse = reverse
        self.segment_size = segment_size
        self.backend = backend
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
        return run(
            self.cell,
            _cast(self.params.get_value(), self.dtype),
            inputs,
            is_token=is_token,
            is_start=is_start,
            initial=initial,
            reverse=self.reverse,
            segment_size=self.segment_size,
            dtype=self.dtype,
            backend=self.backend,
        )

    def final(self, inputs: Any, **arguments: Any) -> Any:
        """Returns the final state alone; the arguments are those of `recurrent.run_final`."""
        params = _cast(self.params.get_value(), self.dtype)
        options = {"reverse": self.reverse, "segment_size": self.segment_size, "backend": self.backend}
        return run_final(self.cell, params, inputs, dtype=self.dtype, **options, **arguments)

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the state before the first step."""
        return network.zero_batch(self.cell, _cast(self.params.get_value(), self.dtype), batch)

    def step(self, state: Any, x: Float[Array, "*batch input"]) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step, back in time where `reverse`, and returns the next state and the output."""
        return network.step_batch(self.cell, _cast(self.params.get_value(), self.dtype), state, x, dtype=self.dtype)


class Network(nnx.Module):
    """Layers of cells over a batch of sequences, in one direction or in both.

    >>> import jax.numpy as jnp, recurrent
    >>> from flax import nnx
    >>> from recurrent import network
    >>> from recurrent.layers.nnx import Network
    >>> description = network.Network((recurrent.lstm, recurrent.gru), (4, 5), is_bidirectional=True)
    >>> layer = Network(description, input_size=3, rngs=nnx.Rngs(0))
    >>> outputs, final = layer(jnp.ones((2, 7, 3)))
    >>> outputs.shape, final[0].backward.memory.shape
    ((2, 7, 10), (2, 4))
    """

    def __init__(
        self,
        description: network.Network,
        input_size: int,
        *,
        segment_size: int | None = None,
        backend: str = "auto",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
        **init_options: Any,
    ) -> None:
        """Draws the params of all layers; the arguments are those of `Recurrent`."""
        self.description = description
        self.segment_size = segment_size
        self.backend = backend
        self.dtype = dtype
        self.params = nnx.Param(network.init(rngs.params(), description, input_size, dtype=param_dtype, **init_options))

    def __call__(
        self,
        inputs: Float[Array, "*batch time input"],
        *,
        is_token: Bool[Array, "*batch time"] | None = None,
        is_start: Bool[Array, "*batch time"] | None = None,
        initial: Any = None,
        key: RandomKey | None = None,
        numbers: Int[Array, "*batch"] | None = None,
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns outputs and final states, always; the arguments are those of `recurrent.run_network`."""
        return network.run_network(
            self.description,
            _cast(self.params.get_value(), self.dtype),
            inputs,
            is_token=is_token,
            is_start=is_start,
            initial=initial,
            key=key,
            numbers=numbers,
            segment_size=self.segment_size,
            dtype=self.dtype,
            backend=self.backend,
        )

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the states before the first step."""
        return network.zero_states(self.description, _cast(self.params.get_value(), self.dtype), batch)

    def step(self, state: Any, x: Float[Array, "*batch input"]) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step and returns the next states and the output; there is no noise."""
        params = _cast(self.params.get_value(), self.dtype)
        return network.step_network(self.description, params, state, x, dtype=self.dtype)


def _cast(params: Any, dtype: DTypeLike | None) -> Any:
    """Returns params in the dtype to compute in."""
    return params if dtype is None else jax.tree.map(lambda array: array.astype(dtype), params)
