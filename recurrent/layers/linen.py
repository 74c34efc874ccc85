"""Layers for Flax Linen: `run` and `run_network` with their params in a module, and no meaning of their own.

For the same params the numbers are those of `recurrent.layers.nnx`. Sizes of inputs are read off the first call, and
dropout has noise where the collection "dropout" has a key.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict
from jaxtyping import Array, Bool, DTypeLike, Float, Int

from recurrent import network
from recurrent.batch import run
from recurrent.cells.protocol import Cell

__all__ = ["Network", "Recurrent"]


class Recurrent(nn.Module):
    """One cell over a batch of sequences; its params are the cell's own, under the name "cell".

    Args:
        segment_size, backend: as in `recurrent.run`.
        dtype: computes matmuls and returns outputs in it; by default matmuls have the params' dtype and outputs the
            inputs'. The state is kept in at least float32.
        init_options: for the cell's `init`, such as `forget_bias`.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.layers.linen import Recurrent
    >>> layer = Recurrent(recurrent.lstm, hidden_size=4)
    >>> (outputs, final), variables = layer.init_with_output(jax.random.key(0), jnp.ones((2, 5, 3)))
    >>> outputs.shape, variables["params"]["cell"].bias.shape
    ((2, 5, 4), (16,))
    >>> state = layer.apply(variables, (2,), method="zero_state")
    >>> state, output = layer.apply(variables, state, jnp.ones((2, 3)), method="step")
    >>> output.shape
    (2, 4)
    """

    cell: Cell
    hidden_size: int
    reverse: bool = False
    segment_size: int | None = None
    backend: str = "auto"
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    init_options: Mapping[str, Any] = FrozenDict()

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
            _cast(self._make_params(inputs.shape[-1]), self.dtype),
            inputs,
            is_token=is_token,
            is_start=is_start,
            initial=initial,
            reverse=self.reverse,
            segment_size=self.segment_size,
            dtype=self.dtype,
            backend=self.backend,
        )

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the state before the first step; the params have to be there."""
        return network.zero_batch(self.cell, _cast(_find_params(self, "cell"), self.dtype), batch)

    def step(self, state: Any, x: Float[Array, "*batch input"]) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step, back in time where `reverse`, and returns the next state and the output."""
        params = _cast(self._make_params(x.shape[-1]), self.dtype)
        return network.step_batch(self.cell, params, state, x, dtype=self.dtype)

    @nn.compact
    def _make_params(self, input_size: int) -> Any:
        """Returns the params, drawn where there are none yet."""
        options = {"dtype": self.param_dtype, **self.init_options}
        return self.param("cell", lambda key: self.cell.init(key, input_size, self.hidden_size, **options))


class Network(nn.Module):
    """Layers of cells over a batch of sequences, in one direction or in both; its params are under "layers".

    The arguments are those of `Recurrent`.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent import network
    >>> from recurrent.layers.linen import Network
    >>> layer = Network(network.Network((recurrent.lstm, recurrent.gru), (4, 5), is_bidirectional=True))
    >>> (outputs, final), variables = layer.init_with_output(jax.random.key(0), jnp.ones((2, 7, 3)))
    >>> outputs.shape, variables["params"]["layers"][0].backward.bias.shape
    ((2, 7, 10), (16,))
    """

    description: network.Network
    segment_size: int | None = None
    backend: str = "auto"
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    init_options: Mapping[str, Any] = FrozenDict()

    def __call__(
        self,
        inputs: Float[Array, "*batch time input"],
        *,
        is_token: Bool[Array, "*batch time"] | None = None,
        is_start: Bool[Array, "*batch time"] | None = None,
        initial: Any = None,
        numbers: Int[Array, "*batch"] | None = None,
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns outputs and final states, always; the arguments are those of `recurrent.run_network`."""
        is_noisy = self.description.dropout_rate > 0 and self.has_rng("dropout")
        return network.run_network(
            self.description,
            _cast(self._make_params(inputs.shape[-1]), self.dtype),
            inputs,
            is_token=is_token,
            is_start=is_start,
            initial=initial,
            key=self.make_rng("dropout") if is_noisy else None,
            numbers=numbers,
            segment_size=self.segment_size,
            dtype=self.dtype,
            backend=self.backend,
        )

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the states before the first step; the params have to be there."""
        return network.zero_states(self.description, _cast(_find_params(self, "layers"), self.dtype), batch)

    def step(self, state: Any, x: Float[Array, "*batch input"]) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step and returns the next states and the output; there is no noise."""
        params = _cast(self._make_params(x.shape[-1]), self.dtype)
        return network.step_network(self.description, params, state, x, dtype=self.dtype)

    @nn.compact
    def _make_params(self, input_size: int) -> Any:
        """Returns the params, drawn where there are none yet."""
        options = {"dtype": self.param_dtype, **self.init_options}
        return self.param("layers", lambda key: network.init(key, self.description, input_size, **options))


def _find_params(layer: nn.Module, name: str) -> Any:
    """Returns the params of a layer.

    Raises:
        ValueError: there are none yet.
    """
    params = layer.get_variable("params", name)
    if params is None:
        raise ValueError("The zero state is read off the params, and there are none yet: call the layer first.")
    return params


def _cast(params: Any, dtype: DTypeLike | None) -> Any:
    """Returns params in the dtype to compute in."""
    return params if dtype is None else jax.tree.map(lambda array: array.astype(dtype), params)
