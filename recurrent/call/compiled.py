"""Calls outside `jit` that compile once: all of a call but its arrays is a key, and equal keys share a program.

A loop compiled by itself has functions of the call's own in it, and would be compiled, and kept, at every call.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

import jax

from recurrent.call.closure import describe_array, hoist
from recurrent.cells.module import CellModule
from recurrent.cells.protocol import Cell

__all__ = ["call_compiled", "is_closed_over"]


class _Program(NamedTuple):
    """What is computed, without the arrays."""

    function: Callable[..., Any]
    cell: "_Compared"
    options: tuple[tuple[str, Hashable], ...]


class _Compared:
    """A cell, equal to one that computes the same."""

    def __init__(self, cell: Cell, computes: Hashable) -> None:
        self.cell, self._computes = cell, computes

    def __hash__(self) -> int:
        return hash(self._computes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Compared) and self._computes == other._computes


def call_compiled(function: Callable[..., Any], cell: Cell, x: Any, arrays: dict[str, Any], **options: Hashable) -> Any:
    """Returns function(cell, **arrays, **options), compiled at the first of equal calls.

    Args:
        x: shapes and dtypes of what the cell is given at one step.
        arrays: trees of arrays, among them the cell's `params`.
    """
    computes: Hashable = cell
    if not isinstance(cell, CellModule):
        functions, constants = _hoist_all(cell, arrays["params"], x)
        if _are_traced(constants):
            return function(cell, **arrays, **options)
        computes = (*functions, *map(describe_array, constants))
    return _execute(_Program(function, _Compared(cell, computes), tuple(options.items())), arrays)


@partial(jax.jit, static_argnums=0)
def _execute(program: _Program, arrays: dict[str, Any]) -> Any:
    return program.function(program.cell.cell, **arrays, **dict(program.options))


def is_closed_over(cell: Any, params: Any, x: Any) -> bool:
    """Says whether a cell holds arrays that are being traced."""
    return not isinstance(cell, CellModule) and _are_traced(_hoist_all(cell, params, x)[1])


def _are_traced(arrays: list[Any]) -> bool:
    return any(isinstance(each, jax.core.Tracer) for each in arrays)


def _hoist_all(cell: Any, params: Any, x: Any) -> tuple[list[Any], list[Any]]:
    """Hoists a cell's functions; returns them, and all arrays that they close over."""
    zero = jax.eval_shape(cell.zero_state, params)
    projected = jax.eval_shape(cell.project, params, x)
    recurrent = jax.eval_shape(cell.recur, params, zero)
    hoisted = [
        hoist(cell.zero_state, params),
        hoist(cell.project, params, x),
        hoist(cell.recur, params, zero),
        hoist(cell.update, params, zero, projected, recurrent),
    ]
    return [function for function, _ in hoisted], [each for _, constants in hoisted for each in constants]
