"""What the doors `scan_cell` and `run` check and settle before anything is computed."""

from collections.abc import Callable
from numbers import Integral
from operator import index
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from recurrent.cells.params import check_params, check_state

__all__ = [
    "Layout",
    "as_array",
    "as_arrays",
    "as_params",
    "check_mask",
    "check_options",
    "check_prefix",
    "check_recurrent_mask",
    "check_resets",
    "fit",
    "integer",
    "layout",
]


class Layout(NamedTuple):
    """How a call's arrays are laid out."""

    batch: tuple[int, ...]
    num_steps: int
    x: Any  # shapes and dtypes of what the cell is given at one step of one sequence


def as_array(name: str, value: Any) -> Any:
    """Makes an array of an array-like, such as a list of lists; None stays None.

    Raises:
        ValueError: it is none.
    """
    if value is None:
        return None
    if isinstance(value, jax.ShapeDtypeStruct):  # `explain` takes shapes too
        return value
    if not hasattr(value, "dtype"):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"{name} must be an array, not a ragged list ({error}).") from error
    return _to_jax(name, value)


def as_arrays(name: str, tree: Any) -> Any:
    """Makes arrays of a tree's leaves; a list (or tuple) of plain numbers, however nested, is one array.

    Raises:
        ValueError: a leaf is no array.
    """
    leaves = jax.tree.leaves(tree)
    if type(tree) in (list, tuple) and all(isinstance(leaf, bool | int | float) for leaf in leaves):
        return as_array(name, tree)
    return jax.tree.map(lambda leaf: as_array(name, leaf), tree)


def _to_jax(name: str, value: Any) -> Array:
    try:
        return jnp.asarray(value)  # 64 bits become 32 where JAX has no others
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array, not {type(value).__name__} ({error}).") from error


def as_params(cell: Any, params: Any) -> Any:
    """Makes arrays of params' leaves.

    Raises:
        ValueError: they are another cell's, or their sizes do not go together.
    """
    if isinstance(cell, str):
        raise ValueError(f"A cell is a module or an object, not a name: recurrent.CELLS[{cell!r}] finds it.")
    params = as_arrays("params", params)
    check_params(cell, params)
    return params


def layout(inputs: Any, make_inputs: Callable[[Any], Any] | None) -> Layout:
    """Reads the layout off the inputs, computing nothing.

    Raises:
        ValueError: there is no array, their first axes differ, or the cell would not get floating point.
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


def check_mask(name: str, mask: Array | None, shape: tuple[int, ...]) -> None:
    """Raises ValueError for a mask that is not one truth value a step."""
    if mask is not None and (mask.shape != shape or mask.dtype != jnp.bool_):
        raise ValueError(f"{name} must be bool{list(shape)}, not {mask.dtype}{list(mask.shape)}.")


def check_options(segment_size: int | None, truncate_every: int | None, reverse: bool, dtype: Any) -> None:
    """Raises ValueError for a number of steps that is no integer of at least 1, and for another kind of option."""
    if not isinstance(reverse, bool | np.bool_):
        raise ValueError(f"reverse must be True or False, not {reverse!r}.")
    if dtype is not None and not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"dtype must be floating point, not {jnp.dtype(dtype)}.")
    for name, value in (("segment_size", segment_size), ("truncate_every", truncate_every)):
        if value is not None:
            integer(name, value, at_least=1, takes_arrays=False)


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


def check_resets(
    is_start: Array | None, reset_to: Any, reset_index: Array | None, shape: tuple[int, ...], zero: Any
) -> None:
    """Raises ValueError where the arguments about starts don't go together, or don't fit the cell."""
    if reset_to is None and reset_index is None:
        return
    if is_start is None or reset_to is None or reset_index is None:
        raise ValueError("reset_to and reset_index go together, and with is_start, which says where they apply.")
    if reset_index.shape != shape or not jnp.issubdtype(reset_index.dtype, jnp.integer):
        raise ValueError(
            f"reset_index must be int{list(shape)}, one value a step, not {reset_index.dtype}{list(reset_index.shape)}."
        )
    check_state("reset_to", reset_to, zero, jnp.shape(jax.tree.leaves(reset_to)[0])[:1])


def check_recurrent_mask(mask: Array | None, steps: tuple[int, ...], zero: Any) -> None:
    """Raises ValueError for a mask that fits neither every step nor all of them at once, and where none applies."""
    if mask is None:
        return
    if not hasattr(zero, "hidden"):
        raise ValueError(f"recurrent_mask acts on a state's field `hidden`, which {zero} does not have.")
    allowed = dict.fromkeys([(*steps, zero.hidden.shape[-1]), (*steps[:-1], 1, zero.hidden.shape[-1])])
    if mask.shape not in allowed:
        raise ValueError(f"recurrent_mask must have shape {' or '.join(map(str, allowed))}, not {mask.shape}.")


def check_prefix(prefix: Any, inputs: Any, batch: tuple[int, ...]) -> None:
    """Raises ValueError for a prefix that is not one step of the inputs and one length a sequence."""
    if prefix.length.shape != batch or not jnp.issubdtype(prefix.length.dtype, jnp.integer):
        raise ValueError(
            f"prefix.length must be int{list(batch)}, not {prefix.length.dtype}{list(prefix.length.shape)}."
        )
    given = [jnp.shape(leaf) for leaf in jax.tree.leaves(prefix.input)]
    expected = [leaf.shape[len(batch) + 1 :] for leaf in jax.tree.leaves(inputs)]
    if given != expected:
        raise ValueError(f"prefix.input must be one step of the inputs, of shapes {expected}, not {given}.")


def fit(name: str, state: Any, zero: Any, batch: tuple[int, ...] = ()) -> Any:
    """Casts a given state to the dtypes that are carried.

    Raises:
        ValueError: its structure or shapes don't fit the cell's.
    """
    check_state(name, state, zero, batch)
    return jax.tree.map(lambda given, expected: jnp.asarray(given).astype(expected.dtype), state, zero)
