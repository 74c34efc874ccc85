"""The fastest backend on a CPU: SimpleRNN, LSTM and GRU as C++ loops, called through XLA's foreign functions.

It is compiled on request (`recurrent.native.build`). Rows are sorted by their number of steps, and only steps with a
token are computed. All cores work on a call, and the numbers do not depend on how many there are. There are
reverse-mode derivatives; second derivatives are those of the plain backend.
"""

from recurrent.backends.native.call import run
from recurrent.backends.native.plan import segment_size, shares_prefix, skips, why_not

__all__ = ["run", "segment_size", "shares_prefix", "skips", "why_not"]
