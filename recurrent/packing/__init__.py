"""Packing: short sequences end to end in few rows of one length, so that few steps are spent on padding::

    row 0   a a a a a b b b        position   0 1 2 3 4 0 1 2
    row 1   c c c c d d . .                   0 1 2 3 0 1 . .

`pack` plans the places with NumPy, and its arrays have static shapes; `pack_inputs` and `unpack_outputs` move values in
and out. A recurrent network resets its state where a sequence starts, so each sequence gets what it would get alone,
and no gradient passes from one sequence to the next.

`plan_rows` plans the rows of a data set that may not fit into memory, and `fill_rows` fills those that are asked for.
`PackedIterator` packs sequences of an iterator as they come.
"""

from recurrent.packing.packed_iterator import PackedIterator
from recurrent.packing.packed_rows import PackedRows, Sequences, fill_rows
from recurrent.packing.plan import Packing, pack
from recurrent.packing.row_plan import RowPlan, plan_rows
from recurrent.packing.rows import pack_inputs, unpack_outputs
from recurrent.packing.run import run_packed

__all__ = [
    "PackedIterator",
    "PackedRows",
    "Packing",
    "RowPlan",
    "Sequences",
    "fill_rows",
    "pack",
    "pack_inputs",
    "plan_rows",
    "run_packed",
    "unpack_outputs",
]
