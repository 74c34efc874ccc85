"""The fastest backend on an NVIDIA GPU for narrow cells: SimpleRNN, LSTM and GRU in CUDA C++, all steps in one launch.

It is compiled on request (``python -m recurrent.native build``). The inputs are projected by XLA, in one matmul for all
steps. The recurrence is computed in float32, without rounding operands: a block of threads takes one row, and keeps the
recurrent kernel in registers. There are reverse-mode derivatives; second derivatives are those of the plain backend.
"""

from recurrent.backends.cuda.call import run
from recurrent.backends.cuda.plan import segment_size, shares_prefix, skips, why_not

__all__ = ["run", "segment_size", "shares_prefix", "skips", "why_not"]
