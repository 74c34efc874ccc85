"""A network of cells as a layer."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Unpack

from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PyTree

from recurrent import network
from recurrent.call.options import refuse_unknown
from recurrent.layers.arrays import Partitioning, cast, check_partitioning, with_dtype
from recurrent.layers.nnx.arrays import Arrays
from recurrent.layers.nnx.tabulated import tabulated
from recurrent.layers.options import LayerOptions
from recurrent.network import Directions
from recurrent.network.description import check_layers
from recurrent.packing import Packing
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
        deterministic: bool = False,
        rngs: nnx.Rngs,
        **init_options: Any,
    ) -> None:
        """Draws the params of all layers; the arguments are those of `Recurrent`.

        Args:
            partitioning: as in `Recurrent`; a name stands for the arrays of all layers and directions that have it.
            deterministic: True for no dropout. `train()`, `eval()` and `nnx.view` change it, as in `nnx.Dropout`.
            rngs: draws the params; where there is dropout, the layer keeps a stream of its own, forked from "dropout"
                (or from the default one).
        """
        self.description = description
        self.segment_size = segment_size
        self.backend = backend
        self.dtype = dtype
        self.deterministic = deterministic
        params = network.init(rngs.params(), description, input_size, **with_dtype(init_options, param_dtype))
        self.layers = nnx.List([_Layer(own, partitioning) for own in params])
        held = [arrays for layer in self.layers for arrays in layer._directions()]
        check_partitioning(partitioning, [path for arrays in held for path in arrays.layout.paths])
        has_stream = description.dropout_rate > 0 and ("dropout" in rngs or "default" in rngs)
        self.rngs: nnx.RngStream | None = rngs.dropout.fork() if has_stream else nnx.data(None)

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
        check_layers("params", self.description, params)
        for layer, own in zip(self.layers, params, strict=True):
            for arrays, of_direction in zip(layer._directions(), own, strict=False):
                arrays.set_cell_params(of_direction)

    def __call__(
        self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[LayerOptions]
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns outputs and final states, always; the options are those of `recurrent.run_network`.

        Args:
            deterministic: True for no dropout; by default what the constructor was told, or `train()` or `eval()`.
            key: draws the noise, instead of the layer's own stream.

        Raises:
            ValueError: there is dropout, and nothing to draw it from.
        """
        arguments = self._arguments("Network", options)
        return tabulated(self, network.run_network(self.description, self._params(), inputs, **arguments))

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[LayerOptions]) -> Any:
        """Returns the final states alone; the options are those of a call."""
        arguments = self._arguments("final", options)
        return tabulated(self, network.run_network_final(self.description, self._params(), inputs, **arguments))

    def packed(
        self,
        inputs: Float[Array, "rows time input"],
        packing: Packing,
        *,
        initial: Any = None,
        recurrent_mask: Any = None,
        deterministic: bool | None = None,
        key: RandomKey | None = None,
        numbers: Int[Array, "sequences"] | None = None,
    ) -> tuple[Float[Array, "rows time output"], Any]:
        """Returns the outputs of packed rows, and each sequence's final states; as `recurrent.run_packed_network`."""
        options = LayerOptions(initial=initial, recurrent_mask=recurrent_mask, deterministic=deterministic, key=key)
        arguments = self._arguments("packed", {**options, "numbers": numbers})
        return tabulated(
            self, network.run_packed_network(self.description, self._params(), inputs, packing, **arguments)
        )

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the states before the first step."""
        return tabulated(self, network.zero_states(self.description, self._params(), batch))

    def step(
        self, state: Any, x: Float[Array, "*batch input"], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step and returns the next states and the output; there is no noise.

        Args:
            is_start: True where a new sequence begins: the states are zero before this step.
        """
        params = self._params()
        return network.step_network(self.description, params, state, x, is_start=is_start, dtype=self.dtype)

    def set_view(self, deterministic: bool | None = None) -> None:
        """Is called by `nnx.view`.

        Args:
          deterministic: if True, there is no dropout.
        """  # indented by two, or `nnx.view_info` could not read it
        if deterministic is not None:
            self.deterministic = deterministic

    def _params(self) -> tuple[Directions, ...]:
        return cast(self._join(), self.dtype)

    def _arguments(self, method: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of `run_network`: the layer's own, and those of the call."""
        refuse_unknown(method, options, LayerOptions)
        own = {"segment_size": self.segment_size, "dtype": self.dtype, "backend": self.backend}
        given = {name: option for name, option in options.items() if name != "deterministic"}
        return {**own, **given, "key": self._noise_key(options.get("deterministic"), options.get("key"))}

    def _noise_key(self, deterministic: bool | None, key: RandomKey | None) -> RandomKey | None:
        is_quiet = self.deterministic if deterministic is None else deterministic
        rate = self.description.dropout_rate
        if is_quiet or rate == 0:
            return None
        if key is not None:
            return key
        if self.rngs is None:
            raise ValueError(
                f"dropout_rate is {rate}, and there is no key to draw from: pass `key`, or make the layer with rngs "
                "that have a stream 'dropout', or turn dropout off by eval() or deterministic=True."
            )
        return self.rngs()


class _Layer(nnx.Module):
    """The params of a layer's directions."""

    def __init__(self, own: Directions, partitioning: Partitioning) -> None:
        self.forward = Arrays(own.forward, partitioning)
        self.backward = None if own.backward is None else Arrays(own.backward, partitioning)

    def _directions(self) -> list[Arrays]:
        return [arrays for arrays in (self.forward, self.backward) if arrays is not None]
