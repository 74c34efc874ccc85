"""Short sequences laid end to end in few rows of one length, so that no step is spent on padding.

    row 0   a a a a a b b b        position   0 1 2 3 4 0 1 2
    row 1   c c c c d d . .                   0 1 2 3 0 1 . .

The plan is made once, with NumPy, and has static shapes; values are brought into it and back by `pack_inputs` and
`unpack_outputs`. A recurrent network goes along a row and begins anew where a sequence does, so that each sequence gets
what it would get alone, and nothing, gradients neither, passes from one to the next.
"""

from recurrent.packing.plan import Packing, pack
from recurrent.packing.rows import pack_inputs, unpack_outputs
from recurrent.packing.run import run_packed

__all__ = ["Packing", "pack", "pack_inputs", "run_packed", "unpack_outputs"]
