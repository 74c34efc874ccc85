"""Layers for Flax NNX: `run` and `run_network` with their params in a module, and no meaning of their own."""

from recurrent.extras import needs

with needs("recurrent.layers.nnx", "flax", {"flax": "Flax"}):
    from recurrent.layers.nnx.network import Network
    from recurrent.layers.nnx.outputs import Outputs
    from recurrent.layers.nnx.recurrent import Recurrent

__all__ = ["Network", "Outputs", "Recurrent"]
