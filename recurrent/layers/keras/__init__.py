"""Keras' SimpleRNN, LSTM and GRU, computed by `recurrent.run` on Keras' JAX backend.

The layers are subclasses of Keras' own: same arguments, weights, config and saved files. A script changes its import.
"""

from recurrent.extras import needs

with needs("recurrent.layers.keras", "keras", {"keras": "Keras"}):
    from recurrent.layers.keras.layers import GRU, LSTM, SimpleRNN

__all__ = ["GRU", "LSTM", "SimpleRNN"]
