"""Layers for Flax Linen: `run` and `run_network` as modules with params.

For the same params they compute what those of `recurrent.layers.nnx` compute. Input sizes are inferred at the first
call. `RNN` and `ScannedRNN` take the place of Flax' own RNN and of the layer that agents use.
"""

from recurrent.extras import needs

with needs("recurrent.layers.linen", "flax", {"flax": "Flax"}):
    from recurrent.layers.linen.network import Network
    from recurrent.layers.linen.outputs import Outputs
    from recurrent.layers.linen.recurrent import Recurrent
    from recurrent.layers.linen.rnn import RNN
    from recurrent.layers.linen.scanned import ScannedRNN

__all__ = ["RNN", "Network", "Outputs", "Recurrent", "ScannedRNN"]
