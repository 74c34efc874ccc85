"""Conversion of arguments: arrays from array-likes, params and states in the cell's own structure and dtypes."""

from collections.abc import Callable
from numbers import Integral
from operator import index
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from recurrent.cells.params import check_params, check_state

__all__ = ["Layout", "as_array", "as_arrays", "as_integers", "as_params", "fit", "integer", "layout"]


class Layout(NamedTuple):
    """The shapes of a call's inputs."""

    batch: tuple[int, ...]
    num_steps: int
    x: Any  # shapes and dtypes of the cell's input at one step of one sequence


def as_array(name: str, value: Any) -> Any:
    """Converts an array-like, such as a list of lists, to an array; returns None for None.

    Raises:
        ValueError: the value cannot be converted.
    """
    if value is None:
        return None
    if isinstance(value, jax.ShapeDtypeStruct):  # `explain` accepts shapes in place of arrays
        return value
    if not hasattr(value, "dtype"):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"{name} must be an array, not a ragged list ({error}).") from error
    return _to_jax(name, value)


def as_arrays(name: str, tree: Any) -> Any:
    """Converts the leaves of a tree to arrays; a list or tuple of plain numbers, however nested, is one array.

    Raises:
        ValueError: a leaf cannot be converted.
    """
    leaves = jax.tree.leaves(tree)
    if type(tree) in (list, tuple) and all(isinstance(leaf, bool | int | float) for leaf in leaves):
        return as_array(name, tree)
    return jax.tree.map(lambda leaf: as_array(name, leaf), tree)


def as_integers(name: str, value: Any) -> Array:
    """Converts an array-like of integers to an array.

    Raises:
        ValueError: the value is not an array of integers.
    """
    array = as_arrays(name, value)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, not {array.dtype}.")
    return array


def integer(name: str, value: Any, at_least: int, below: int | None = None, takes_arrays: bool = True) -> int:
    """Returns an integer of any kind (Python's, NumPy's, a 0-d array) as Python's own.

    Args:
        name: of the argument, for the error.
        value: the argument.
        at_least: the least value allowed.
        below: the first value that is too large; None for no limit.
        takes_arrays: also accepts an integer array without axes.

    Raises:
        ValueError: it is a bool, a float or not a number, or it is out of range.
    """
    try:
        number = None if isinstance(value, bool) or not (takes_arrays or isinstance(value, Integral)) else index(value)
    except TypeError:
        number = None
    if number is None or number < at_least or (below is not None and number >= below):
        bounds = f"of at least {at_least}" if below is None else f"from {at_least} to {below - 1}"
        raise ValueError(f"{name} must be an integer {bounds}, not {value!r}.")
    return number


def _to_jax(name: str, value: Any) -> Array:
    try:
        return jnp.asarray(value)  # converts 64-bit arrays to 32 bits unless JAX has 64 bits enabled
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array, not {type(value).__name__} ({error}).") from error


def as_params(cell: Any, params: Any) -> Any:
    """Converts the leaves of params to arrays and checks them against the cell.

    Raises:
        ValueError: the params belong to another cell, or their sizes are inconsistent.
    """
    if isinstance(cell, str):
        raise ValueError(f"A cell is a module or an object, not a name: use recurrent.CELLS[{cell!r}].")
    params = as_arrays("params", params)
    check_params(cell, params)
    return params


def fit(name: str, state: Any, zero: Any, batch: tuple[int, ...] = ()) -> Any:
    """Converts a state to arrays with the dtypes of the cell's zero state.

    Raises:
        ValueError: its structure or shapes do not fit the cell.
    """
    check_state(name, state, zero, batch)
    return jax.tree.map(lambda given, expected: jnp.asarray(given).astype(expected.dtype), state, zero)


def layout(inputs: Any, make_inputs: Callable[[Any], Any] | None) -> Layout:
    """Returns the layout of inputs from their shapes alone.

    Raises:
        ValueError: there is no array, the leading axes differ, or the cell's inputs are not floating point.
    """
    made = inputs if make_inputs is None else jax.eval_shape(make_inputs, inputs)
    leaves = jax.tree.leaves(made)
    if not leaves or leaves[0].ndim < 2:
        raise ValueError(f"inputs must be [*batch, time, input], not of shape {[leaf.shape for leaf in leaves]}.")
    steps = leaves[0].shape[:-1]
    for leaf in (*leaves, *jax.tree.leaves(inputs)):
        if leaf.shape[: len(steps)] != steps:
            raise ValueError(f"inputs differ in their axes [*batch, time]: {steps} and {leaf.shape}.")
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"inputs must be floating point, not {leaf.dtype}: embed or cast them first.")
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[len(steps) :], leaf.dtype), made)
    return Layout(steps[:-1], steps[-1], x)
