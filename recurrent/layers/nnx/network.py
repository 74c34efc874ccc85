"""A network of cells as a layer."""

from types import MappingProxyType
from typing import Any

from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float, Int

from recurrent import network
from recurrent.layers.arrays import Partitioning, cast, check_partitioning, with_dtype
from recurrent.layers.nnx.arrays import Arrays
from recurrent.layers.nnx.tabulated import tabulated
from recurrent.network import Directions
from recurrent.shapes import RandomKey

__all__ = ["Network"]


class Network(nnx.Module):
    """Layers of cells over a batch of sequences, in one direction or in both.

    Each array is an `nnx.Param` of its own, under its layer and direction: `layer.layers[0].forward.recurrent_kernel`.

    >>> import jax.numpy as jnp, recurrent
    >>> from flax import nnx
    >>> from recurrent import network
    >>> from recurrent.layers.nnx import Network
    >>> description = network.Network((recurrent.lstm, recurrent.gru), (4, 5), is_bidirectional=True)
    >>> layer = Network(description, input_size=3, rngs=nnx.Rngs(0))
    >>> outputs, final = layer(jnp.ones((2, 7, 3)))
    >>> outputs.shape, final[0].backward.memory.shape, layer.layers[0].backward.bias.shape
    ((2, 7, 10), (2, 4), (16,))
    """

    def __init__(
        self,
        description: network.Network,
        input_size: int,
        *,
        segment_size: int | None = None,
        backend: str = "auto",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        partitioning: Partitioning = MappingProxyType({}),
        rngs: nnx.Rngs,
        **init_options: Any,
    ) -> None:
        """Draws the params of all layers; the arguments are those of `Recurrent`.

        Args:
            partitioning: as in `Recurrent`; a name stands for the arrays of all layers and directions that have it.
        """
        self.description = description
        self.segment_size = segment_size
        self.backend = backend
        self.dtype = dtype
        params = network.init(rngs.params(), description, input_size, **with_dtype(init_options, param_dtype))
        self.layers = nnx.List([_Layer(own, partitioning) for own in params])
        held = [arrays for layer in self.layers for arrays in layer._directions()]
        check_partitioning(partitioning, [path for arrays in held for path in arrays.layout.paths])

    def cell_params(self) -> tuple[Directions, ...]:
        """Returns the params as `network.init` made them, in the dtype in which they are kept."""
        return self._join()

    def _join(self) -> tuple[Directions, ...]:
        return tuple(Directions(*(arrays._join() for arrays in layer._directions())) for layer in self.layers)

    def set_cell_params(self, params: tuple[Directions, ...]) -> None:
        """Replaces the params by others of the same shapes, in the dtype in which they are kept.

        Raises:
            ValueError: they are built otherwise, or a shape differs.
        """
        network.check_layers("params", self.description, params)
        for layer, own in zip(self.layers, params, strict=True):
            for arrays, of_direction in zip(layer._directions(), own, strict=False):
                arrays.set_cell_params(of_direction)

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
        results = network.run_network(
            self.description,
            cast(self._join(), self.dtype),
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
        return tabulated(self, results)

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the states before the first step."""
        return tabulated(self, network.zero_states(self.description, cast(self._join(), self.dtype), batch))

    def step(self, state: Any, x: Float[Array, "*batch input"]) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step and returns the next states and the output; there is no noise."""
        params = cast(self._join(), self.dtype)
        return network.step_network(self.description, params, state, x, dtype=self.dtype)


class _Layer(nnx.Module):
    """The params of a layer's directions."""

    def __init__(self, own: Directions, partitioning: Partitioning) -> None:
        self.forward = Arrays(own.forward, partitioning)
        self.backward = None if own.backward is None else Arrays(own.backward, partitioning)

    def _directions(self) -> list[Arrays]:
        return [arrays for arrays in (self.forward, self.backward) if arrays is not None]
