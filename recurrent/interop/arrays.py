"""A library's arrays, checked by name before anything is read from them."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["DTYPES", "check_names", "count_blocks", "fit", "is_traced", "one_dtype"]

DTYPES = ("bfloat16", "float16", "float32", "float64")


def check_names(what: str, given: Iterable[str], expected: Iterable[str]) -> None:
    """Raises ValueError unless exactly the expected names are given."""
    given, expected = set(given), set(expected)
    faults = [
        f"{verb} {', '.join(sorted(map(repr, names)))}"
        for verb, names in (("lacks", expected - given), ("has superfluous", given - expected))
        if names
    ]
    if faults:
        raise ValueError(f"{what} {' and '.join(faults)}.")


def count_blocks(name: str, kernel: Any, axis: int = -1) -> tuple[int, int]:
    """Returns the hidden size and the number of gates that a recurrent kernel's shape implies.

    Args:
        name: the kernel's name in an error.
        kernel: ``[hidden, gates*hidden]``, or its transpose.
        axis: the axis of the gates, 0 or -1.

    Raises:
        ValueError: it has no such shape, or as many gates as no cell has.
    """
    shape = np.shape(kernel)
    if len(shape) != 2 or 0 in shape or shape[axis] % shape[axis - 1]:
        raise ValueError(f"{name} has shape {shape}, which is not that of a recurrent kernel.")
    hidden_size = shape[axis - 1]
    num_gates = shape[axis] // hidden_size
    if num_gates not in (1, 3, 4):
        raise ValueError(
            f"{name} has shape {shape}: {num_gates} blocks of {hidden_size} units, in an unknown order. "
            "A simple RNN has 1, a GRU 3 and an LSTM 4."
        )
    return hidden_size, num_gates


def fit(what: str, arrays: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Returns the arrays as JAX' or NumPy's, after checks.

    Args:
        what: their owner in an error, such as "The PyTorch module".
        arrays: name -> array.
        shapes: name -> the shape that it must have.

    Raises:
        ValueError: an array is missing, superfluous or misshaped, is not of a floating-point dtype or not of the
            others' dtype, or is not finite.
    """
    check_names(what, arrays, shapes)
    checked = {name: _as_array(name, arrays[name]) for name in shapes}
    for name, shape in shapes.items():
        if checked[name].shape != shape:
            raise ValueError(f"{name} has shape {checked[name].shape}, but it must be {shape}.")
        if not is_traced(checked[name]) and not _is_finite(checked[name]):
            raise ValueError(f"{name} has values that are not finite.")
    one_dtype(checked)
    return checked


def one_dtype(arrays: Mapping[str, Any]) -> Any:
    """Returns the arrays' dtype.

    Raises:
        ValueError: it is not a floating-point dtype, or they have several.
    """
    dtypes = {str(array.dtype) for array in arrays.values()}
    if len(dtypes) > 1:
        raise ValueError(f"{', '.join(arrays)} have several dtypes, {', '.join(sorted(dtypes))}; they must have one.")
    (dtype,) = dtypes
    if dtype not in DTYPES:
        raise ValueError(f"{', '.join(arrays)} are {dtype}, but must be one of {', '.join(DTYPES)}.")
    return jnp.dtype(dtype)


def is_traced(array: Any) -> bool:
    """Returns whether an array's values are unknown, such as within `jax.jit`."""
    return isinstance(array, jax.core.Tracer)


def _is_finite(array: Any) -> bool:
    if str(array.dtype) not in DTYPES:
        return True  # its dtype is refused, which says more
    return bool(np.isfinite(np.asarray(array)).all())


def _as_array(name: str, value: Any) -> Any:
    if isinstance(value, jax.Array | np.ndarray):
        return value
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is a {type(value).__name__} and not an array.") from error
