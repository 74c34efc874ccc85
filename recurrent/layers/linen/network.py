"""A network of cells as a layer."""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
from flax.core import FrozenDict
from jaxtyping import Array, Bool, DTypeLike, Float, Int

from recurrent import network
from recurrent.layers.arrays import Partitioning, Path, cast, with_dtype
from recurrent.layers.linen.arrays import declare, find, name_variables
from recurrent.network import Directions
from recurrent.shapes import RandomKey

__all__ = ["Network"]


class Network(nn.Module):
    """Layers of cells over a batch of sequences, in one direction or in both.

    Each array is a param under its layer and direction: `layers_0/forward/recurrent_kernel`. The arguments are those of
    `Recurrent`; a name in `partitioning` stands for the arrays of all layers and directions that have it.

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
            cast(self._declare(inputs.shape[-1]), self.dtype),
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
        return network.zero_states(self.description, cast(self.cell_params(), self.dtype), batch)

    def step(self, state: Any, x: Float[Array, "*batch input"]) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step and returns the next states and the output; there is no noise."""
        params = cast(self._declare(x.shape[-1]), self.dtype)
        return network.step_network(self.description, params, state, x, dtype=self.dtype)

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
    def _declare(self, input_size: int) -> Any:
        return declare(self, lambda key: self._draw(key, input_size), self.partitioning, _name)

    @nn.nowrap
    def _draw(self, key: RandomKey, input_size: int) -> Any:
        return network.init(key, self.description, input_size, **with_dtype(self.init_options, self.param_dtype))


def _name(path: Path) -> Path:
    layer, *rest = path
    return (f"layers_{layer}", *rest)
