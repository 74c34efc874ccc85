"""Layers for Flax NNX: `run` and `run_network` as modules that hold the params.

`RNN` takes the place of Flax' own RNN.
"""

from recurrent.extras import needs

with needs("recurrent.layers.nnx", "flax", {"flax": "Flax"}):
    from recurrent.layers.nnx.network import Network
    from recurrent.layers.nnx.outputs import Outputs
    from recurrent.layers.nnx.recurrent import Recurrent
    from recurrent.layers.nnx.rnn import RNN

__all__ = ["RNN", "Network", "Outputs", "Recurrent"]
