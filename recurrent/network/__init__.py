"""Networks of any cells: layer upon layer, in one direction or in both.

    x_0     = inputs
    y_l     = [forward_l(drop(x_l)), backward_l(drop(x_l))]      the first layer's x is not dropped
    x_{l+1} = y_l, or x_l + y_l in a residual network
    outputs = x_L

Noise falls on what a layer sees, never on a residual network's shortcut, and not on the outputs. In a bidirectional
network (Schuster & Paliwal 1997) each direction has params of its own, and step t of the outputs is about step t of the
inputs in both halves: the backward half of a padded sequence begins at its true last step.
"""

from recurrent.network.description import Directions, Network, init, zero_batch, zero_states
from recurrent.network.packed import run_packed_network
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
