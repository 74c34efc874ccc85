"""Compiled calls outside `jit`: all of a call except its arrays is a cache key, so equal calls share one program.

Without this, an eager `lax.scan` over functions that are created per call would be compiled, and cached, for each call.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

import jax

from recurrent.call.call import ARRAYS, Call
from recurrent.call.closure import describe_array, hoist
from recurrent.call.meshes import vary_alike
from recurrent.cells.module import CellModule
from recurrent.cells.protocol import Cell

__all__ = ["call_compiled", "is_closed_over"]


class _Program(NamedTuple):
    """What is computed, without the arrays."""

    function: Callable[..., Any]
    cell: "_Compared"
    rest: Call  # without cell and arrays
    options: tuple[tuple[str, Hashable], ...]


class _Compared:
    """A cell that equals every cell that computes the same."""

    def __init__(self, cell: Cell, computes: Hashable) -> None:
        self.cell, self._computes = cell, computes

    def __hash__(self) -> int:
        return hash(self._computes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Compared) and self._computes == other._computes


def call_compiled(function: Callable[..., Any], call: Call, **options: Hashable) -> Any:
    """Returns function(call, **options); equal calls outside `jit` share one compiled program."""
    arrays = vary_alike({name: getattr(call, name) for name in ARRAYS})
    cell: Any = call.cell
    computes: Hashable = cell
    if not isinstance(cell, CellModule):
        functions, constants = _hoist_all(cell, arrays["params"], call.layout.x)
        if _are_traced(constants):
            return function(call._replace(**arrays), **options)
        computes = (*functions, *map(describe_array, constants))
    nothing: Any = dict.fromkeys(("cell", *ARRAYS))
    rest = call._replace(**nothing)
    return _execute(_Program(function, _Compared(cell, computes), rest, tuple(options.items())), arrays)


@partial(jax.jit, static_argnums=0)
def _execute(program: _Program, arrays: dict[str, Any]) -> Any:
    call = program.rest._replace(cell=program.cell.cell, **arrays)
    return program.function(call, **dict(program.options))


def is_closed_over(cell: Any, params: Any, x: Any) -> bool:
    """Returns whether a cell closes over arrays that are being traced."""
    return not isinstance(cell, CellModule) and _are_traced(_hoist_all(cell, params, x)[1])


def _are_traced(arrays: list[Any]) -> bool:
    return any(isinstance(each, jax.core.Tracer) for each in arrays)


def _hoist_all(cell: Any, params: Any, x: Any) -> tuple[list[Any], list[Any]]:
    """Hoists a cell's functions; returns them and all arrays that they close over."""
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
