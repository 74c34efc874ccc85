"""A layer without its final state, for `nn.Sequential` and the like."""

from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float

__all__ = ["Outputs"]


class Outputs(nn.Module):
    """Wraps a layer of this package; a call returns the outputs without the final state, as `nn.Sequential` requires.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from flax import linen as nn
    >>> from recurrent.layers.linen import Outputs, Recurrent
    >>> model = nn.Sequential([Outputs(Recurrent(recurrent.lstm, hidden_size=4)), nn.Dense(2)])
    >>> outputs, variables = model.init_with_output(jax.random.key(0), jnp.ones((2, 5, 3)))
    >>> outputs.shape
    (2, 5, 2)
    """

    layer: nn.Module

    @nn.compact
    def __call__(self, inputs: Any, **options: Any) -> Float[Array, "*batch time output"]:
        """Returns the layer's outputs; the arguments are those of the layer."""
        layer: Any = self.layer
        return layer(inputs, **options)[0]
