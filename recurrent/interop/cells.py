"""Which cell some params belong to, and why a library has no counterpart of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from recurrent.cells import CELLS
from recurrent.cells.params import check_params
from recurrent.interop.arrays import fit

__all__ = ["OURS", "RESET_AFTER", "RESET_BEFORE", "cell_of", "name_of", "refuse_sum"]

OURS: Mapping[str, Any] = CELLS
"""Our cells by name, without their several types of params."""
RESET_BEFORE = "the reset gate acts before the matmul here and after it there, and (r h) U is not r (h U)"
RESET_AFTER = "the reset gate acts after the matmul here and before it there, and r (h U) is not (r h) U"
_NO_NORM = "no cell there has layer normalisation"
_NAMES = {cell.Params: name for name, cell in OURS.items()}


def cell_of(params: Any) -> Any:
    """Returns the cell whose params these are."""
    return OURS[_NAMES[type(params)]]


def name_of(library: str, params: Any, refused: Mapping[str, str]) -> str:
    """Returns the name of the cell whose params these are, after checks of their arrays.

    Args:
        library: the library in an error.
        params: of a cell of the catalogue.
        refused: a cell's name -> why the library has no counterpart of it.

    Raises:
        ValueError: the library has no counterpart of the cell, or an array is misshaped or not finite.
    """
    name = _NAMES.get(type(params))
    if name is None:
        raise ValueError(f"params must be those of a cell of recurrent.CELLS, not a {type(params).__name__}.")
    reasons = {"layer_norm_lstm": _NO_NORM, "layer_norm_gru": _NO_NORM, **refused}
    if name in reasons:
        raise ValueError(f"{library} has no counterpart of {name}: {reasons[name]}.")
    check_params(OURS[name], params)
    arrays = params._asdict()
    fit(f"{name}.Params", arrays, {field: np.shape(array) for field, array in arrays.items()})
    return name


def refuse_sum(library: str, name: str, is_moments: bool) -> None:
    """Raises ValueError for moments of a cell of which several biases are one in the other library."""
    if is_moments:
        raise ValueError(
            f"The moments of {library}'s {name} do not convert: biases that are separate in one library are added "
            "in the other, and the moments of a sum are not those of its terms."
        )
