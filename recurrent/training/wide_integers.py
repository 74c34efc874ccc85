"""Integers that JAX would cut: without x64 it makes int32 of int64, and a number that needs 64 bits would change."""

from typing import Any

import jax
import numpy as np

__all__ = ["refuse_wide_integers"]


def refuse_wide_integers(name: str, tree: Any) -> None:
    """Raises ValueError for an integer that does not fit into the dtype that JAX makes of an array's.

    Args:
        name: of the tree, such as "examples".
        tree: of NumPy arrays; arrays of other kinds are not looked at.
    """
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not isinstance(leaf, np.ndarray) or leaf.dtype.kind not in "iu" or not leaf.size:
            continue
        becomes = np.dtype(jax.dtypes.canonicalize_dtype(leaf.dtype))
        if becomes == leaf.dtype:
            continue
        for found in (int(leaf.min()), int(leaf.max())):
            if not np.iinfo(becomes).min <= found <= np.iinfo(becomes).max:
                raise ValueError(
                    f"{name}{jax.tree_util.keystr(keys)} holds {found}, and JAX makes {becomes} of {leaf.dtype}: "
                    "number the values anew, or set jax_enable_x64."
                )
