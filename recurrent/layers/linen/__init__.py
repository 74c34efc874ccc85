"""Layers for Flax Linen: `run` and `run_network` as modules with params.

For the same params they compute what those of `recurrent.layers.nnx` compute. Input sizes are inferred at the first
call.
"""

from recurrent.extras import needs

with needs("recurrent.layers.linen", "flax", {"flax": "Flax"}):
    from recurrent.layers.linen.network import Network
    from recurrent.layers.linen.outputs import Outputs
    from recurrent.layers.linen.recurrent import Recurrent

__all__ = ["Network", "Outputs", "Recurrent"]
