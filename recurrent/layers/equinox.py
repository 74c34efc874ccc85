"""Layers for Equinox: `run` and `run_network` as modules, whose leaves are the params.

The params of a layer are the cell's own: `equinox.tree_at(lambda layer: layer.params, layer, params)` puts in others,
such as those that `recurrent.interop` makes.
"""

from typing import Any, Unpack

from jaxtyping import Array, Bool, DTypeLike, Float, PyTree

from recurrent import network
from recurrent.batch import run, run_final
from recurrent.call.options import NetworkOptions, SequenceOptions, refuse_unknown
from recurrent.cells.precision import cast
from recurrent.cells.protocol import Cell
from recurrent.extras import needs
from recurrent.layers.arrays import with_dtype
from recurrent.layers.options import cell_arguments
from recurrent.network import Directions
from recurrent.shapes import RandomKey

with needs("recurrent.layers.equinox", "equinox", {"equinox": "Equinox"}):
    import equinox

__all__ = ["Network", "Recurrent"]


class Recurrent(equinox.Module):
    """One cell over a sequence, or over a batch of sequences.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.layers.equinox import Recurrent
    >>> layer = Recurrent(recurrent.lstm, input_size=3, hidden_size=4, key=jax.random.key(0))
    >>> outputs, final = layer(jnp.ones((5, 3)))
    >>> outputs.shape, final.hidden.shape, layer.params.bias.shape
    ((5, 4), (4,), (16,))
    """

    params: Any
    cell: Cell = equinox.field(static=True)
    reverse: bool = equinox.field(static=True)
    segment_size: int | None = equinox.field(static=True)
    backend: str = equinox.field(static=True)
    dtype: DTypeLike | None = equinox.field(static=True)

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
        param_dtype: DTypeLike | None = None,
        key: RandomKey,
        **init_options: Any,
    ) -> None:
        """Draws the cell's params.

        Args:
            cell: a module such as `recurrent.lstm`, or any other `Cell`.
            input_size: features of a step.
            hidden_size: units.
            reverse: as in `recurrent.run`, like `segment_size` and `backend`.
            segment_size: as in `recurrent.run`.
            backend: as in `recurrent.run`.
            dtype: the dtype of matmuls and outputs. By default matmuls have the params' dtype and outputs the inputs'.
                The state has at least float32.
            param_dtype: the dtype of the params; the cell's default otherwise, which is float32.
            key: draws the params.
            init_options: options of the cell's `init`, such as `forget_bias` or `profile`.
        """
        self.params = cell.init(key, input_size, hidden_size, **with_dtype(init_options, param_dtype))
        self.cell, self.reverse, self.segment_size, self.backend = cell, reverse, segment_size, backend
        self.dtype = dtype

    def __call__(
        self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[SequenceOptions]
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns the outputs and the final state; `recurrent.run` documents the options."""
        return run(self.cell, cast(self.params, self.dtype), inputs, **cell_arguments(self, "Recurrent", options))

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[SequenceOptions]) -> Any:
        """Returns the final state; the options are those of a call of the layer."""
        return run_final(self.cell, cast(self.params, self.dtype), inputs, **cell_arguments(self, "final", options))

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the state before the first step."""
        return network.zero_batch(self.cell, cast(self.params, self.dtype), batch)

    def step(
        self, state: Any, x: PyTree[Float[Array, "*batch _"]], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step; returns the next state and the output. With `reverse`, feed inputs from last to first.

        Args:
            is_start: True at the first step of a new sequence: the state is zero before this step.
        """
        params = cast(self.params, self.dtype)
        return network.step_batch(self.cell, params, state, x, is_start=is_start, dtype=self.dtype)


class Network(equinox.Module):
    """Layers of cells over a sequence or a batch of sequences, in one direction or in both.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.layers.equinox import Network
    >>> description = recurrent.Network((recurrent.lstm, recurrent.gru), (4, 5), is_bidirectional=True)
    >>> layer = Network(description, input_size=3, key=jax.random.key(0))
    >>> outputs, final = layer(jnp.ones((2, 7, 3)))
    >>> outputs.shape, final[0].backward.memory.shape, layer.params[0].backward.bias.shape
    ((2, 7, 10), (2, 4), (16,))
    """

    params: tuple[Directions, ...]
    description: network.Network = equinox.field(static=True)
    segment_size: int | None = equinox.field(static=True)
    backend: str = equinox.field(static=True)
    dtype: DTypeLike | None = equinox.field(static=True)

    def __init__(
        self,
        description: network.Network,
        input_size: int,
        *,
        segment_size: int | None = None,
        backend: str = "auto",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        key: RandomKey,
        **init_options: Any,
    ) -> None:
        """Draws the params of all layers; the arguments are those of `Recurrent`."""
        self.params = network.init(key, description, input_size, **with_dtype(init_options, param_dtype))
        self.description, self.segment_size, self.backend, self.dtype = description, segment_size, backend, dtype

    def __call__(
        self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[NetworkOptions]
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns the outputs and the final states; `recurrent.run_network` documents the options.

        There is dropout with a `key`, and none without.
        """
        arguments = self._arguments("Network", options)
        return network.run_network(self.description, cast(self.params, self.dtype), inputs, **arguments)

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[NetworkOptions]) -> Any:
        """Returns the final states; the options are those of a call of the layer."""
        arguments = self._arguments("final", options)
        return network.run_network_final(self.description, cast(self.params, self.dtype), inputs, **arguments)

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the states before the first step."""
        return network.zero_states(self.description, cast(self.params, self.dtype), batch)

    def step(
        self, state: Any, x: Float[Array, "*batch input"], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step, without dropout; returns the next states and the output.

        Args:
            is_start: True at the first step of a new sequence: the states are zero before this step.
        """
        params = cast(self.params, self.dtype)
        return network.step_network(self.description, params, state, x, is_start=is_start, dtype=self.dtype)

    def _arguments(self, method: str, options: NetworkOptions) -> NetworkOptions:
        refuse_unknown(method, options, NetworkOptions)
        return {"segment_size": self.segment_size, "dtype": self.dtype, "backend": self.backend, **options}
