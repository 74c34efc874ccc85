"""Whether the fused backend can run a call, and how: segment size, idle rows, shared prefix, embedding gradients."""

import math
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused.forward_mode import is_pushed_forward
from recurrent.call.call import ARRAYS, Call
from recurrent.call.compiled import is_closed_over
from recurrent.cells.module import CellModule

__all__ = ["collects", "segment_size", "shares_prefix", "skips", "why_not"]

SEGMENT_SIZE = 25
"""The default steps of a segment, for sequences of up to 625 steps: a segment should fit a core's cache."""

MOST_COLLECTED = 2**24
"""The largest number of cotangents of inputs that is stored to form an embedding's gradient once, after the loop."""


def why_not(call: Call) -> str | None:
    """Returns the reason why this backend cannot run a call, or None."""
    arrays = [getattr(call, name) for name in ARRAYS]
    if not all(isinstance(size, int) for leaf in jax.tree.leaves(arrays) for size in jnp.shape(leaf)):
        return "a size is symbolic, and segments need numbers"
    if getattr(jax.config, "jax_disable_jit", False):
        return "`jit` is disabled, and without it a custom derivative cannot be a loop"
    if is_pushed_forward(arrays):
        return "the call is differentiated in forward mode, and the custom derivative is for reverse mode"
    x = call.layout.x
    if isinstance(call.cell, CellModule):
        return _why_not_module(call.cell, *_describe(call.params), *_describe(x))
    if is_closed_over(call.cell, call.params, x):
        return "the cell closes over arrays that are being traced"
    return _why_not_cell(call.cell, call.params, x)


def _describe(tree: Any) -> tuple[Any, ...]:
    """Returns a tree's structure and the shapes and dtypes of its arrays, as hashable values."""
    leaves, treedef = jax.tree.flatten(tree)
    return treedef, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


@cache
def _why_not_module(cell: Any, *described: Any) -> str | None:
    """Answers for a cell of the catalogue, which is traced once for each structure, shape and dtype."""
    params, x = (
        jax.tree.unflatten(treedef, [jax.ShapeDtypeStruct(*each) for each in leaves])
        for treedef, leaves in (described[:2], described[2:])
    )
    return _why_not_cell(cell, params, x)


def _why_not_cell(cell: Any, params: Any, x: Any) -> str | None:
    zero = jax.eval_shape(cell.zero_state, params)
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves((params, zero))):
        return "the params or the state contain an array that is not floating point and has no derivative"
    projected = jax.eval_shape(cell.project, params, x)
    recurrent = jax.eval_shape(cell.recur, params, zero)
    if "dot_general" in str(jax.make_jaxpr(cell.update)(params, zero, projected, recurrent)):
        return "the cell multiplies matrices in `update`, whose gradients cannot be formed after the loop"
    return None


def skips(call: Call) -> bool:
    """Returns whether rows that are idle in a segment are left out."""
    has_idle_rows = call.is_token is not None or shares_prefix(call)
    return has_idle_rows and call.truncate_every is None and _counts_rows(call)


def shares_prefix(call: Call) -> bool:
    """Returns whether the prefix is computed once for all rows."""
    return call.has_one_prefix and _counts_rows(call)


def _counts_rows(call: Call) -> bool:
    """Returns whether fewer rows take less time: an accelerator computes rows in parallel."""
    return jax.default_backend() == "cpu" and 0 not in call.layout.batch


def segment_size(call: Call) -> int:
    """Returns the number of steps of a segment: the default, or the square root of the sequence length if longer.

    The square root bounds the memory of the carries kept at the beginnings of the segments of a long sequence.
    """
    num_steps = max(call.layout.num_steps, 1)
    return min(call.segment_size or max(SEGMENT_SIZE, round(num_steps**0.5)), num_steps)


def collects(call: Call, constants: list[Any], segment_size: int) -> bool:
    """Returns whether the gradient of `make_inputs`' constants is formed once, after the loop.

    It is if the constants are larger than a segment's inputs, and the cotangents of all inputs, which are then stored,
    do not exceed `MOST_COLLECTED`.
    """
    size_of_step = math.prod(call.layout.batch) * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(call.layout.x))
    size_of_constants = sum(leaf.size for leaf in jax.tree.leaves(constants))
    is_short = size_of_step * call.layout.num_steps <= MOST_COLLECTED
    return size_of_constants > size_of_step * segment_size and is_short
