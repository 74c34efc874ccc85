"""Whether params are a cell's: of its class, and of sizes that go together."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.cells.module import CellModule

__all__ = ["check_params", "check_state", "hidden_size_of", "name_of"]


def check_params(cell: Any, params: Any) -> None:
    """Compares params with a cell that has a class `Params`, and with the sizes of a cell of the catalogue.

    Raises:
        ValueError: they are another cell's, or their sizes do not go together; numbers would be broadcast.
    """
    cell = _inmost(cell)
    kind = getattr(cell, "Params", None)
    if isinstance(kind, type) and not isinstance(params, kind):
        name = getattr(cell, "__name__", type(cell).__name__).rpartition(".")[2]
        raise ValueError(
            f"These are {name_of(type(params))}; {name} needs {name_of(kind)}: make them with its `init`, or of the "
            "arrays that you have."
        )
    if not isinstance(cell, CellModule):
        return
    sizes = _sizes(cell, params)
    for field, given, expected in zip(params._fields, params, _shapes(cell, *sizes), strict=True):
        if jnp.shape(given) != expected:
            raise ValueError(
                f"{name_of(type(params))}.{field} has shape {jnp.shape(given)}; with {sizes[0]} inputs and {sizes[1]} "
                f"units, as the kernels have, it must be {expected}."
            )


def hidden_size_of(cell: Any, params: Any) -> int | None:
    """Reads the hidden size off the params of a cell of the catalogue."""
    cell = _inmost(cell)
    return _sizes(cell, params)[1] if isinstance(cell, CellModule) else None


def _sizes(cell: Any, params: Any) -> tuple[int, int]:
    return cell.sizes(params)


def check_state(name: str, state: Any, zero: Any, batch: tuple[int, ...] = ()) -> None:
    """Raises ValueError for a state whose structure or shapes don't fit the cell's, with `batch` axes in front."""
    if jax.tree.structure(state) != jax.tree.structure(zero):
        raise ValueError(f"{name} must be built like {_describe(zero)}, not like {_describe(state)}.")
    for given, expected in zip(jax.tree.leaves(state), jax.tree.leaves(zero), strict=True):
        if jnp.shape(given) != batch + expected.shape:
            raise ValueError(
                f"{name} has an array of shape {jnp.shape(given)} where {batch + expected.shape} is needed."
            )


def _describe(state: Any) -> str:
    """Describes how a state is built: lstm.State(hidden, memory)."""
    fields = getattr(state, "_fields", None)
    return str(jax.tree.structure(state)) if fields is None else f"{name_of(type(state))}({', '.join(fields)})"


def name_of(kind: type) -> str:
    """Names a class as people write it: lstm.Params."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}"


def _inmost(cell: Any) -> Any:
    """Returns the cell around which others stand, as in `wrapped.Wrapped`."""
    while getattr(cell, "is_wrapper", False):
        cell = cell.cell
    return cell


@cache
def _shapes(cell: Any, input_size: int, hidden_size: int) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of a cell's params."""
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), input_size, hidden_size))
    return tuple(leaf.shape for leaf in params)
