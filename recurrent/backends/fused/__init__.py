"""The fast backend: whole batches in segments of time, with a custom reverse-mode derivative, in pure JAX.

The forward pass keeps the carry at the beginning of each segment; the backward pass computes a segment again, while it
fits the cache (`segment`). On a CPU, rows are arranged in tiles, and a tile that is idle in a segment is skipped
(`tiles`). Every cell whose `update` has no matmul can run here. There are reverse-mode derivatives of first and second
order; forward mode needs the plain backend.
"""

from recurrent.backends.fused.compute import run
from recurrent.backends.fused.plan import segment_size, shares_prefix, skips, why_not

__all__ = ["run", "segment_size", "shares_prefix", "skips", "why_not"]
