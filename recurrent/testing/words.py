"""The errors of a check: which cell, what is wrong, what to do."""

from typing import Any, NoReturn

import jax

__all__ = ["FUNCTIONS", "call", "described", "fail", "traced"]

FUNCTIONS = {
    "init": "init(key, input_size, hidden_size)",
    "zero_state": "zero_state(params)",
    "project": "project(params, x)",
    "recur": "recur(params, state)",
    "update": "update(params, state, projected, recurrent)",
    "gates": "gates(params, state, projected, recurrent)",
}
"""A cell's functions, as they are called."""

_REMEDIES = {
    "TracerBoolConversionError": "the value is not known when the cell is compiled; use jnp.where, not `if`.",
    "ConcretizationTypeError": "the value is not known when the cell is compiled; use functions of jax.numpy.",
    "TracerArrayConversionError": "the cell is compiled; use jax.numpy in place of NumPy.",
    "TypePromotionError": "cast with .astype, or use recurrent.cells.precision.matmul.",
}
"""The name of an error's class -> what to do."""


def fail(cell: Any, what: str, remedy: str) -> NoReturn:
    """Raises the error of a check."""
    name = getattr(cell, "__name__", type(cell).__name__).rpartition(".")[2]
    raise AssertionError(f"{name} {what}: {remedy}")


def call(cell: Any, name: str, *arguments: Any) -> Any:
    """Calls a function of a cell; what it raises becomes an error of the check."""
    return _guarded(cell, name, getattr(cell, name), arguments)


def traced(cell: Any, name: str, *arguments: Any) -> Any:
    """Returns shapes and dtypes of a function's result."""
    function = getattr(cell, name)
    return _guarded(cell, name, lambda *arguments: jax.eval_shape(function, *arguments), arguments)


def _guarded(cell: Any, name: str, function: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        default = "arguments are arrays of one example at one step; shapes must fit without broadcasting of ranks."
        remedy = _REMEDIES.get(type(error).__name__, default)
        fail(cell, f"fails in {FUNCTIONS[name]} with {type(error).__name__} ({reason})", remedy)


def described(tree: Any) -> str:
    """Lists the arrays of a tree with their shapes and dtypes.

    >>> import jax.numpy as jnp
    >>> described({"hidden": jnp.ones(3)})
    "['hidden'] float32[3]"
    """
    found = jax.tree_util.tree_leaves_with_path(tree)
    return ", ".join(f"{jax.tree_util.keystr(path)} {_array(leaf)}".strip() for path, leaf in found) or "nothing"


def _array(leaf: Any) -> str:
    if not hasattr(leaf, "dtype"):
        return type(leaf).__name__
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
