"""Layers for Flax Linen: `run` and `run_network` with their params in a module, and no meaning of their own.

For the same params the numbers are those of `recurrent.layers.nnx`. Sizes of inputs are read off the first call.
"""

from recurrent.extras import needs

with needs("recurrent.layers.linen", "flax", {"flax": "Flax"}):
    from recurrent.layers.linen.network import Network
    from recurrent.layers.linen.outputs import Outputs
    from recurrent.layers.linen.recurrent import Recurrent

__all__ = ["Network", "Outputs", "Recurrent"]
