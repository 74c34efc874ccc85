"""Instruments: what a cell does at every step, and how far back a gradient reaches.

Each runs the cell inside a wrapper by `recurrent.run`, so all that `run` takes works here too; and a program that does
not use them is compiled as if they were not there.
"""

from recurrent.inspect.flow import Decay, decay, from_end, gradient_flow, norms
from recurrent.inspect.gates import Saturation, half_lives, saturation, time_constants
from recurrent.inspect.jacobian import jacobian_norms
from recurrent.inspect.tracing import Trace, trace

__all__ = [
    "Decay",
    "Saturation",
    "Trace",
    "decay",
    "from_end",
    "gradient_flow",
    "half_lives",
    "jacobian_norms",
    "norms",
    "saturation",
    "time_constants",
    "trace",
]
