"""A network as a Linen layer."""

from collections.abc import Mapping
from typing import Any, Unpack

from flax import linen as nn
from flax.core import FrozenDict
from jaxtyping import Array, Bool, DTypeLike, Float, PyTree

from recurrent import network
from recurrent.cells.precision import cast
from recurrent.layers.arrays import Partitioning, Path, with_dtype
from recurrent.layers.linen.arrays import declare, find, input_size, name_variables
from recurrent.layers.options import LayerOptions, PackedLayerOptions, network_arguments
from recurrent.network import Directions
from recurrent.packing import Packing
from recurrent.shapes import RandomKey

__all__ = ["Network"]


class Network(nn.Module):
    """Layers of cells over a batch of sequences, in one direction or in both.

    Each array is a param under its layer and direction: `layers_0/forward/recurrent_kernel`.

    Args:
        description: the network.
        segment_size: as in `Recurrent`, like `backend`, `dtype`, `param_dtype` and `init_options`.
        partitioning: as in `Recurrent`; a name applies to the arrays of all layers and directions that have it.
        deterministic: True for no dropout; otherwise each call draws it from the collection "dropout".

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent import network
    >>> from recurrent.layers.linen import Network
    >>> layer = Network(network.Network((recurrent.lstm, recurrent.gru), (4, 5), is_bidirectional=True))
    >>> (outputs, final), variables = layer.init_with_output(jax.random.key(0), jnp.ones((2, 7, 3)))
    >>> outputs.shape, variables["params"]["layers_0"]["backward"]["bias"].shape
    ((2, 7, 10), (16,))
    """

    description: network.Network
    segment_size: int | None = None
    backend: str = "auto"
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike | None = None
    partitioning: Partitioning = FrozenDict()
    init_options: Mapping[str, Any] = FrozenDict()
    deterministic: bool = False

    def __call__(
        self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[LayerOptions]
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns the outputs and the final states; `recurrent.run_network` documents the options.

        `make_inputs` must be a pure function: it may read params, but must not call a module.

        Args:
            deterministic: True for no dropout; by default the module's own attribute.
            key: draws the noise; by default the collection "dropout".

        Raises:
            ValueError: there is dropout, but no key.
        """
        params = self._params(input_size(inputs, options.get("make_inputs")))
        return network.run_network(
            self.description, params, inputs, **self._arguments("Network", options, LayerOptions)
        )

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[LayerOptions]) -> Any:
        """Returns the final states; the options are those of a call of the layer."""
        params = self._params(input_size(inputs, options.get("make_inputs")))
        return network.run_network_final(
            self.description, params, inputs, **self._arguments("final", options, LayerOptions)
        )

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
        params = self._params(input_size(inputs))
        return network.run_packed_network(self.description, params, inputs, packing, **arguments)

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the states before the first step; the params must exist."""
        return network.zero_states(self.description, cast(self.cell_params(), self.dtype), batch)

    def step(
        self, state: Any, x: Float[Array, "*batch input"], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step, without dropout; returns the next states and the output.

        Args:
            is_start: True at the first step of a new sequence: the states are zero before this step.
        """
        params = self._params(input_size(x))
        return network.step_network(self.description, params, state, x, is_start=is_start, dtype=self.dtype)

    def cell_params(self) -> tuple[Directions, ...]:
        """Returns the params as `network.init` returns them, in the dtype in which they are stored.

        Raises:
            ValueError: the layer was not called yet, so there are no params.
        """
        return find(self, lambda key: self._draw(key, 1), _name)

    @staticmethod
    def make_variables(params: tuple[Directions, ...]) -> dict[str, Any]:
        """Returns the layer's variables for the params of a network; the inverse of `cell_params`."""
        return name_variables(params, _name)

    @nn.compact
    def _params(self, input_size: int) -> Any:
        return cast(declare(self, lambda key: self._draw(key, input_size), self.partitioning, _name), self.dtype)

    def _arguments(self, method: str, options: Mapping[str, Any], kind: Any) -> dict[str, Any]:
        return network_arguments(self, method, options, kind, self._draw_noise_key)

    def _draw_noise_key(self) -> RandomKey:
        if not (self.has_rng("dropout") or self.has_rng("params")):  # `make_rng` falls back on "params", as in `init`
            raise ValueError(
                f"dropout_rate is {self.description.dropout_rate}, and there is no key: pass rngs={{'dropout': key}} "
                "to `apply`, or turn dropout off with deterministic=True."
            )
        return self.make_rng("dropout")

    @nn.nowrap
    def _draw(self, key: RandomKey, input_size: int) -> Any:
        return network.init(key, self.description, input_size, **with_dtype(self.init_options, self.param_dtype))


def _name(path: Path) -> Path:
    layer, *rest = path
    return (f"layers_{layer}", *rest)
