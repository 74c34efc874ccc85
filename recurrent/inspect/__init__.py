"""Instruments: the gates and states of every step, and how far back a gradient reaches.

Each instrument runs the cell inside a wrapper with `recurrent.run` and takes its options. Programs that do not use the
instruments are compiled without them.
"""

from recurrent.inspect.flow import gradient_flow, norms
from recurrent.inspect.gates import Saturation, half_lives, saturation, time_constants
from recurrent.inspect.jacobian import jacobian_norms
from recurrent.inspect.lags import Decay, decay, from_end
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
