"""Layers for Flax NNX: `run` and `run_network` as modules that hold the params."""

from recurrent.extras import needs

with needs("recurrent.layers.nnx", "flax", {"flax": "Flax"}):
    from recurrent.layers.nnx.network import Network
    from recurrent.layers.nnx.outputs import Outputs
    from recurrent.layers.nnx.recurrent import Recurrent

__all__ = ["Network", "Outputs", "Recurrent"]
