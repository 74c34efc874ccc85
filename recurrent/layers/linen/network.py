"""A network of cells as a layer."""

from collections.abc import Mapping
from typing import Any, Unpack

from flax import linen as nn
from flax.core import FrozenDict
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PyTree

from recurrent import network
from recurrent.call.options import refuse_unknown
from recurrent.layers.arrays import Partitioning, Path, cast, with_dtype
from recurrent.layers.linen.arrays import declare, find, input_size, name_variables
from recurrent.layers.options import LayerOptions
from recurrent.network import Directions
from recurrent.packing import Packing
from recurrent.shapes import RandomKey

__all__ = ["Network"]


class Network(nn.Module):
    """Layers of cells over a batch of sequences, in one direction or in both.

    Each array is a param under its layer and direction: `layers_0/forward/recurrent_kernel`. The arguments are those of
    `Recurrent`; a name in `partitioning` stands for the arrays of all layers and directions that have it.

    Args:
        deterministic: True for no dropout; otherwise a call draws it from the collection "dropout".

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
        """Returns outputs and final states, always; the options are those of `recurrent.run_network`.

        A `make_inputs` is a pure function: it may look up a param, and can't be a module.

        Args:
            deterministic: True for no dropout; by default what the module was made with.
            key: draws the noise, instead of the collection "dropout".

        Raises:
            ValueError: there is dropout, and nothing to draw it from.
        """
        params = self._params(input_size(inputs, options.get("make_inputs")))
        return network.run_network(self.description, params, inputs, **self._arguments("Network", options))

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[LayerOptions]) -> Any:
        """Returns the final states alone; the options are those of a call."""
        params = self._params(input_size(inputs, options.get("make_inputs")))
        return network.run_network_final(self.description, params, inputs, **self._arguments("final", options))

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
        params = self._params(input_size(inputs))
        return network.run_packed_network(self.description, params, inputs, packing, **arguments)

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the states before the first step; the params have to be there."""
        return network.zero_states(self.description, cast(self.cell_params(), self.dtype), batch)

    def step(
        self, state: Any, x: Float[Array, "*batch input"], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step and returns the next states and the output; there is no noise.

        Args:
            is_start: True where a new sequence begins: the states are zero before this step.
        """
        params = self._params(input_size(x))
        return network.step_network(self.description, params, state, x, is_start=is_start, dtype=self.dtype)

    def cell_params(self) -> tuple[Directions, ...]:
        """Returns the params as `network.init` makes them, in the dtype in which they are kept.

        Raises:
            ValueError: there are none yet.
        """
        return find(self, lambda key: self._draw(key, 1), _name)

    @staticmethod
    def make_variables(params: tuple[Directions, ...]) -> dict[str, Any]:
        """Returns the layer's variables for the params of a network; the inverse of `cell_params`."""
        return name_variables(params, _name)

    @nn.compact
    def _params(self, input_size: int) -> Any:
        return cast(declare(self, lambda key: self._draw(key, input_size), self.partitioning, _name), self.dtype)

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
        if not (self.has_rng("dropout") or self.has_rng("params")):  # `make_rng` falls back on the latter, as in `init`
            raise ValueError(
                f"dropout_rate is {rate}, and there is no key to draw from: pass rngs={{'dropout': key}} to `apply`, "
                "or turn dropout off by deterministic=True."
            )
        return self.make_rng("dropout")

    @nn.nowrap
    def _draw(self, key: RandomKey, input_size: int) -> Any:
        return network.init(key, self.description, input_size, **with_dtype(self.init_options, self.param_dtype))


def _name(path: Path) -> Path:
    layer, *rest = path
    return (f"layers_{layer}", *rest)
