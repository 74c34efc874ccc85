"""Segments of whole batches with a derivative by hand: the fast backend, in pure JAX, for every cell.

Forwards, only the carry at the beginning of each segment is kept; backwards, a segment is computed again while it sits
in cache (`segment`). On a CPU the rows are cut into tiles, and those that have nothing to do in a segment are left out
(`tiles`). It has derivatives in reverse mode, second ones too; in forward mode there is the plain backend.
"""

from recurrent.backends.fused.compute import run
from recurrent.backends.fused.plan import segment_size, shares_prefix, skips, why_not

__all__ = ["run", "segment_size", "shares_prefix", "skips", "why_not"]
