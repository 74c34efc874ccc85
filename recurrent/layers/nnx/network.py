"""A network as an NNX layer."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Unpack

from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float, PyTree

from recurrent import network
from recurrent.cells.precision import cast
from recurrent.layers.arrays import Partitioning, check_partitioning, with_dtype
from recurrent.layers.nnx.arrays import Arrays
from recurrent.layers.nnx.tabulated import tabulated
from recurrent.layers.options import LayerOptions, PackedLayerOptions, network_arguments
from recurrent.network import Directions
from recurrent.network.params import check_layers
from recurrent.packing import Packing
from recurrent.shapes import RandomKey

__all__ = ["Network"]


class Network(nnx.Module):
    """Layers of cells over a batch of sequences, in one direction or in both.

    Each array is an `nnx.Param` under its layer and direction: `layer.layers[0].forward.recurrent_kernel`.

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
        deterministic: bool = False,
        rngs: nnx.Rngs,
        **init_options: Any,
    ) -> None:
        """Draws the params of all layers.

        Args:
            description: the network.
            input_size: features of a step.
            segment_size: as in `recurrent.run`, like `backend`.
            backend: as in `recurrent.run`.
            dtype: as in `Recurrent`, like `param_dtype`.
            param_dtype: as in `Recurrent`.
            partitioning: as in `Recurrent`; a name applies to the arrays of all layers and directions that have it.
            deterministic: True for no dropout. `train()`, `eval()` and `nnx.view` change it, as in `nnx.Dropout`.
            rngs: draws the params. For dropout the layer keeps a stream of its own, forked from "dropout" or from the
                default stream.
            init_options: options of the `init` of every cell.
        """
        self.description = description
        self.segment_size = segment_size
        self.backend = backend
        self.dtype = dtype
        self.deterministic = deterministic
        params = network.init(rngs.params(), description, input_size, **with_dtype(init_options, param_dtype))
        self.layers = nnx.List([_Layer(own, partitioning) for own in params])
        held = [arrays for layer in self.layers for arrays in layer._directions()]
        check_partitioning(partitioning, [path for arrays in held for path in arrays.param_tree.paths])
        has_stream = description.dropout_rate > 0 and ("dropout" in rngs or "default" in rngs)
        self.rngs: nnx.RngStream | None = rngs.dropout.fork() if has_stream else nnx.data(None)

    def cell_params(self) -> tuple[Directions, ...]:
        """Returns the params as `network.init` returns them, in the dtype in which they are stored."""
        return self._join()

    def _join(self) -> tuple[Directions, ...]:
        return tuple(Directions(*(arrays._join() for arrays in layer._directions())) for layer in self.layers)

    def set_cell_params(self, params: tuple[Directions, ...]) -> None:
        """Replaces the params by others of the same shapes, cast to the dtype in which they are stored.

        Raises:
            ValueError: the structure or a shape differs.
        """
        check_layers("params", self.description, params)
        for layer, own in zip(self.layers, params, strict=True):
            for arrays, of_direction in zip(layer._directions(), own, strict=False):
                arrays.set_cell_params(of_direction)

    def __call__(
        self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[LayerOptions]
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns the outputs and the final states; `recurrent.run_network` documents the options.

        Args:
            deterministic: True for no dropout; by default the layer's own attribute.
            key: draws the noise; by default the layer's own stream.

        Raises:
            ValueError: there is dropout, but no key.
        """
        arguments = self._arguments("Network", options, LayerOptions)
        return tabulated(self, network.run_network(self.description, self._params(), inputs, **arguments))

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[LayerOptions]) -> Any:
        """Returns the final states; the options are those of a call of the layer."""
        arguments = self._arguments("final", options, LayerOptions)
        return tabulated(self, network.run_network_final(self.description, self._params(), inputs, **arguments))

    def packed(
        self,
        inputs: Float[Array, "rows time input"],
        packing: Packing,
        **options: Unpack[PackedLayerOptions],
    ) -> tuple[Float[Array, "rows time output"], Any]:
        """Returns the outputs of packed rows and each sequence's final states, as `run_packed_network` does.

        The options are `initial`, `recurrent_mask`, `key`, `numbers` and `deterministic`.
        """
        arguments = self._arguments("packed", options, PackedLayerOptions)
        return tabulated(
            self, network.run_packed_network(self.description, self._params(), inputs, packing, **arguments)
        )

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the states before the first step."""
        return tabulated(self, network.zero_states(self.description, self._params(), batch))

    def step(
        self, state: Any, x: Float[Array, "*batch input"], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step, without dropout; returns the next states and the output.

        Args:
            is_start: True at the first step of a new sequence: the states are zero before this step.
        """
        params = self._params()
        return network.step_network(self.description, params, state, x, is_start=is_start, dtype=self.dtype)

    def set_view(self, deterministic: bool | None = None) -> None:
        """Sets the layer's mode; `nnx.view` calls it.

        Args:
          deterministic: if True, there is no dropout.
        """  # `nnx.view_info` reads only an indentation of two spaces
        if deterministic is not None:
            self.deterministic = deterministic

    def _params(self) -> tuple[Directions, ...]:
        return cast(self._join(), self.dtype)

    def _arguments(self, method: str, options: Mapping[str, Any], kind: Any) -> dict[str, Any]:
        return network_arguments(self, method, options, kind, self._draw_noise_key)

    def _draw_noise_key(self) -> RandomKey:
        if self.rngs is None:
            raise ValueError(
                f"dropout_rate is {self.description.dropout_rate}, and there is no key: pass `key`, create the layer "
                "with rngs that have a stream 'dropout', or turn dropout off with eval() or deterministic=True."
            )
        return self.rngs()


class _Layer(nnx.Module):
    """The params of a layer's directions."""

    def __init__(self, own: Directions, partitioning: Partitioning) -> None:
        self.forward = Arrays(own.forward, partitioning)
        self.backward = None if own.backward is None else Arrays(own.backward, partitioning)

    def _directions(self) -> list[Arrays]:
        return [arrays for arrays in (self.forward, self.backward) if arrays is not None]
