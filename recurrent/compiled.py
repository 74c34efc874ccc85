"""Calls outside `jit` that compile once: all of a call but its arrays is a key, and equal keys share a program.

A loop compiled by itself has functions of the call's own in it, and would be compiled, and kept, at every call.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from recurrent.cells.module import CellModule
from recurrent.cells.protocol import Cell
from recurrent.closure import hoist

__all__ = ["call_compiled", "is_closed_over"]

MOST_BYTES = 1 << 12
"""Of an array that a cell holds and that is compared by value; with a larger one, calls are compiled one by one."""


class _Program(NamedTuple):
    """What is computed, without the arrays."""

    function: Callable[..., Any]
    cell: Cell
    computes: Hashable  # what the cell's functions compute, where the cell's identity does not tell
    options: tuple[tuple[str, Hashable], ...]


def call_compiled(function: Callable[..., Any], cell: Cell, x: Any, arrays: dict[str, Any], **options: Hashable) -> Any:
    """Returns function(cell, **arrays, **options), compiled at the first of equal calls.

    Args:
        x: shapes and dtypes of what the cell is given at one step.
        arrays: trees of arrays, among them the cell's `params`.
    """
    program = _Program(function, cell, None, tuple(options.items()))
    if not isinstance(cell, CellModule):
        program = program._replace(computes=_fingerprint(cell, arrays["params"], x))
    if program.computes is _UNKNOWN:
        return function(cell, **arrays, **options)
    return _execute(program, arrays)


@partial(jax.jit, static_argnums=0)
def _execute(program: _Program, arrays: dict[str, Any]) -> Any:
    return program.function(program.cell, **arrays, **dict(program.options))


_UNKNOWN = object()


def _fingerprint(cell: Any, params: Any, x: Any) -> Hashable:
    """Describes what a cell computes; one that holds traced or large arrays, or can't be hashed, has no description."""
    functions, constants = _hoist_all(cell, params, x)
    try:
        hash(cell)
    except TypeError:
        return _UNKNOWN
    if any(isinstance(each, jax.core.Tracer) or each.nbytes > MOST_BYTES for each in constants):
        return _UNKNOWN
    values = tuple((str(each.dtype), each.shape, np.asarray(each).tobytes()) for each in constants)
    return (*functions, values)


def is_closed_over(cell: Any, params: Any, x: Any) -> bool:
    """Says whether a cell holds arrays that are being traced."""
    if isinstance(cell, CellModule):
        return False
    return any(isinstance(each, jax.core.Tracer) for each in _hoist_all(cell, params, x)[1])


def _hoist_all(cell: Any, params: Any, x: Any) -> tuple[list[Any], list[Any]]:
    zero = jax.eval_shape(cell.zero_state, params)
    projected = jax.eval_shape(cell.project, params, x)
    recurrent = jax.eval_shape(cell.recur, params, zero)
    calls = [
        (cell.zero_state, (params,)),
        (cell.project, (params, x)),
        (cell.recur, (params, zero)),
        (cell.update, (params, zero, projected, recurrent)),
    ]
    hoisted = [hoist(function, *like) for function, like in calls]
    return [function for function, _ in hoisted], [each for _, constants in hoisted for each in constants]
