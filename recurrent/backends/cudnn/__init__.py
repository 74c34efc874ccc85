"""The LSTM of NVIDIA's cuDNN, through `jax.experimental.rnn`: float32, on a GPU.

cuDNN takes sequences whose tokens come first. A mask is turned into that order and back, so any mask works. "auto" does
not take this backend. There are reverse-mode derivatives of first order, and there is no `vmap`.
"""

from recurrent.backends.cudnn.call import run
from recurrent.backends.cudnn.plan import why_not
from recurrent.backends.plain import segment_size, shares_prefix, skips  # it keeps all, and computes all

__all__ = ["run", "segment_size", "shares_prefix", "skips", "why_not"]
