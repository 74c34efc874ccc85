"""Networks: stacks of any cells, in one direction or in both::

    x_0     = inputs
    y_l     = [forward_l(drop(x_l)), backward_l(drop(x_l))]      no dropout on x_0
    x_{l+1} = y_l, or x_l + y_l in a residual network
    outputs = x_L

Dropout acts on a layer's input; a residual network's shortcut and the outputs have none. In a bidirectional network
(Schuster & Paliwal 1997) each direction has its own params, and both halves of output t belong to input t: the backward
direction starts at the last token of each sequence.
"""

from recurrent.network.description import Directions, Network
from recurrent.network.packed import run_packed_network
from recurrent.network.params import init, zero_batch, zero_states
from recurrent.network.run import run_network, run_network_final
from recurrent.network.step import step_batch, step_network

__all__ = [
    "Directions",
    "Network",
    "init",
    "run_network",
    "run_network_final",
    "run_packed_network",
    "step_batch",
    "step_network",
    "zero_batch",
    "zero_states",
]
