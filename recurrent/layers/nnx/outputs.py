"""A layer without its final state, for `nnx.Sequential` and the like."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Float

__all__ = ["Outputs"]


class Outputs(nnx.Module):
    """Wraps a layer of this package; a call returns the outputs without the final state, as `nnx.Sequential` requires.

    >>> import jax.numpy as jnp, recurrent
    >>> from flax import nnx
    >>> from recurrent.layers.nnx import Outputs, Recurrent
    >>> rngs = nnx.Rngs(0)
    >>> lstm = Recurrent(recurrent.lstm, input_size=3, hidden_size=4, rngs=rngs)
    >>> model = nnx.Sequential(Outputs(lstm), nnx.Linear(4, 2, rngs=rngs))
    >>> model(jnp.ones((2, 5, 3))).shape
    (2, 5, 2)
    """

    def __init__(self, layer: Any) -> None:
        """Stores the layer as the attribute `layer`."""
        self.layer = layer

    def __call__(self, inputs: Any, **options: Any) -> Float[Array, "*batch time output"]:
        """Returns the layer's outputs; the arguments are those of the layer."""
        return self.layer(inputs, **options)[0]
