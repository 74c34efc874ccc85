"""The parts of a step for all rows at once, [rows, ...], and the projection of all steps, [time, rows, ...]."""

from functools import partial
from typing import Any

import jax

from recurrent.backends.fused.settings import Settings
from recurrent.call.axes import merge_axes
from recurrent.call.steps import Carry, Steps, leave, recur
from recurrent.cells.precision import cast

__all__ = ["leave_one", "leave_rows", "project_rows", "recur_rows", "split_time"]


def project_rows(settings: Settings, params: Any, inputs: Any) -> Any:
    """Returns the cell's `project` of all steps and rows, as one matmul."""
    projected = jax.vmap(partial(settings.cell.project, params))(merge_axes(inputs, 2))
    return split_time(projected, inputs)


def split_time(flat: Any, like: Any) -> Any:
    """Splits the first axis of arrays [time * rows, ...] into the first two axes of `like`."""
    shape = jax.tree.leaves(like)[0].shape[:2]
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), flat)


def recur_rows(settings: Settings, params: Any, carry: Carry, recurrent_mask: Any) -> Any:
    """Returns the cell's `recur` of all rows."""
    return jax.vmap(partial(recur, settings.cell, params))(carry, recurrent_mask)


def leave_rows(
    settings: Settings, params: Any, step: Steps, entered: Carry, projected: Any, recurrent: Any
) -> tuple[Carry, Any]:
    """Returns the carry after a step of all rows, and their outputs or None."""
    return jax.vmap(partial(leave_one, settings, params))(step, entered, projected, recurrent)


def leave_one(
    settings: Settings, params: Any, step: Steps, entered: Carry, projected: Any, recurrent: Any
) -> tuple[Carry, Any]:
    """Returns the carry after a step of one row, and its output or None."""
    carry, output = leave(settings.cell, params, entered, step, projected, recurrent)
    return carry, cast(output, settings.dtype) if settings.keeps_outputs else None
