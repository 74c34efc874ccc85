"""Checks of the numbers that the public doors are given."""

import operator
from typing import Any

__all__ = ["integer"]


def integer(name: str, value: Any, at_least: int, below: int | None = None) -> int:
    """Returns an integer of any kind (Python's, NumPy's, a 0-d array) as Python's.

    Raises:
        ValueError: it is a bool, a float or no number at all, or it is out of range; names the argument and the value.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < at_least or (below is not None and number >= below):
        bounds = f"of at least {at_least}" if below is None else f"from {at_least} to {below - 1}"
        raise ValueError(f"{name} must be an integer {bounds}, not {value!r}.")
    return number
