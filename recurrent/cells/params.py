"""Checks of params and states against a cell: the right class, and consistent sizes."""

from functools import cache
from typing import Any, cast

import jax
import jax.numpy as jnp

from recurrent.cells.module import CellModule

__all__ = ["check_params", "check_state", "hidden_size_of"]


def check_params(cell: Any, params: Any) -> None:
    """Checks that params are of the cell's class `Params`, if it has one, and that their sizes are consistent.

    Sizes are checked for cells of the catalogue only.

    Raises:
        ValueError: the params belong to another cell, or their sizes are inconsistent and would broadcast.
    """
    cell = _inmost(cell)
    kind = getattr(cell, "Params", None)
    if isinstance(kind, type) and not isinstance(params, kind):
        name = getattr(cell, "__name__", type(cell).__name__).rpartition(".")[2]
        raise ValueError(
            f"The params are {_name_of(type(params))}, but {name} needs {_name_of(kind)}: use {name}.init, "
            f"or {_name_of(kind)}(...) for your own arrays."
        )
    if not isinstance(cell, CellModule):
        return
    sizes = cast(Any, cell).sizes(params)
    for field, given, expected in zip(params._fields, params, _shapes(cell, *sizes), strict=True):
        if jnp.shape(given) != expected:
            raise ValueError(
                f"{_name_of(type(params))}.{field} has shape {jnp.shape(given)}, but it must be {expected} for the "
                f"kernels' {sizes[0]} inputs and {sizes[1]} units."
            )


def hidden_size_of(cell: Any, params: Any) -> int | None:
    """Returns the hidden size of params of a cell of the catalogue, and None for other cells."""
    cell = _inmost(cell)
    return cast(Any, cell).sizes(params)[1] if isinstance(cell, CellModule) else None


def check_state(name: str, state: Any, zero: Any, batch: tuple[int, ...] = ()) -> None:
    """Raises ValueError unless a state has the structure of `zero` and its shapes with `batch` in front."""
    if jax.tree.structure(state) != jax.tree.structure(zero):
        raise ValueError(f"{name} must have the structure {_describe(zero)}, not {_describe(state)}.")
    for given, expected in zip(jax.tree.leaves(state), jax.tree.leaves(zero), strict=True):
        if jnp.shape(given) != batch + expected.shape:
            raise ValueError(
                f"{name} has an array of shape {jnp.shape(given)}, which must be {batch + expected.shape}."
            )


def _describe(state: Any) -> str:
    """Returns a state's structure in words, such as lstm.State(hidden, memory)."""
    fields = getattr(state, "_fields", None)
    return str(jax.tree.structure(state)) if fields is None else f"{_name_of(type(state))}({', '.join(fields)})"


def _name_of(kind: type) -> str:
    """Returns a class's name with its module, such as lstm.Params."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}"


def _inmost(cell: Any) -> Any:
    """Returns the cell inside all wrappers, which derive from `wrapped.Wrapped`."""
    while getattr(cell, "is_wrapper", False):
        cell = cell.cell
    return cell


@cache
def _shapes(cell: Any, input_size: int, hidden_size: int) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of a cell's params."""
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), input_size, hidden_size))
    return tuple(leaf.shape for leaf in params)
