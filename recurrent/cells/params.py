"""Whether params are a cell's: of its class, and of sizes that go together."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["check_params", "hidden_size_of", "name_of"]


def check_params(cell: Any, params: Any) -> None:
    """Compares params with a cell that has a class `Params`, and with its `sizes`; those of the catalogue have both.

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
    if not hasattr(cell, "sizes"):
        return
    sizes = cell.sizes(params)
    for field, given, expected in zip(params._fields, params, _shapes(cell, *sizes), strict=True):
        if jnp.shape(given) != expected:
            raise ValueError(
                f"{name_of(type(params))}.{field} has shape {jnp.shape(given)}; with {sizes[0]} inputs and {sizes[1]} "
                f"units, as the kernels have, it must be {expected}."
            )


def hidden_size_of(cell: Any, params: Any) -> int | None:
    """Reads the hidden size off a cell's params, where the cell says how."""
    cell = _inmost(cell)
    return cell.sizes(params)[1] if hasattr(cell, "sizes") else None


def name_of(kind: type) -> str:
    """Names a class as people write it: lstm.Params."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}"


def _inmost(cell: Any) -> Any:
    """Returns the cell around which others stand, each keeping it as its `cell`."""
    while not hasattr(cell, "Params") and hasattr(cell, "cell"):
        cell = cell.cell
    return cell


@cache
def _shapes(cell: Any, input_size: int, hidden_size: int) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of a cell's params."""
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), input_size, hidden_size))
    return tuple(leaf.shape for leaf in params)
