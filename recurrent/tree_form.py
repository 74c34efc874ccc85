"""The form of a tree of arrays `[rows, ...]`: its structure, and each array's dtype and shape without the rows."""

from typing import Any

import jax
import numpy as np

__all__ = ["refuse_other_form", "without_rows"]


def without_rows(tree: Any) -> Any:
    """Returns the tree with arrays of no rows, which hold no memory.

    >>> without_rows({"x": np.zeros((3, 2), np.float32)})["x"].shape
    (0, 2)
    """
    return jax.tree.map(lambda leaf: np.empty((0, *leaf.shape[1:]), leaf.dtype), tree)


def refuse_other_form(name: str, tree: Any, first: Any) -> None:
    """Raises ValueError for a tree of another form than the first one: NumPy would broadcast or cast it in silence.

    Args:
        name: of the tree, such as "Batch 3 of the iterator".
        tree: of arrays `[rows, ...]`.
        first: the first tree, with any number of rows.
    """
    # Structures differ between a NamedTuple and a tuple, which are equal.
    if jax.tree.structure(tree) != jax.tree.structure(first) or _forms(tree) != _forms(first):
        own, expected = (jax.tree.map(_form, each) for each in (tree, first))
        raise ValueError(f"{name} has the form {own}, and those before had {expected}.")


def _forms(tree: Any) -> list[tuple[np.dtype, tuple[int, ...]]]:
    return [_form(leaf) for leaf in jax.tree.leaves(tree)]


def _form(leaf: Any) -> tuple[np.dtype, tuple[int, ...]]:
    return leaf.dtype, leaf.shape[1:]
