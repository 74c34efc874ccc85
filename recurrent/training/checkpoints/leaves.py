"""The leaves of a state: which a checkpoint can hold, and the path of each.

A path joins the keys that lead to a leaf, as in params/layers/0/kernel. It is unambiguous: within a key, / is written
~1 and ~ is written ~0 (as in RFC 6901), and a string that looks like a number is quoted.
"""

import enum
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey, keystr, tree_leaves_with_path

from recurrent.training.checkpoints.plain import is_key

__all__ = ["check_leaves", "describe", "describe_format_1"]

_LASTING = (str, int, float, bytes, tuple, enum.Enum)  # types of dict keys whose text is the same in every process


def describe(tree: Any) -> dict[str, str]:
    """Returns the form of each leaf by its path, in the order of the leaves: float32[3,4]; key<fry>[] for a typed key.

    Raises:
        ValueError: a checkpoint can't hold a leaf, or two leaves have one path; names it and says why.
    """
    described: dict[str, str] = {}
    for keys, leaf in tree_leaves_with_path(tree):
        path = "/".join(_name(key, keystr(keys)) for key in keys)
        if path in described:
            raise ValueError(f"{keystr(keys)} has the path of another leaf, {path}: rename one of them.")
        described[path] = _form(leaf, keystr(keys))
    return described


def check_leaves(tree: Any) -> None:
    """Raises ValueError for a tree that a checkpoint can't hold; see `describe`."""
    describe(tree)


def describe_format_1(tree: Any) -> dict[str, str]:
    """Returns the same with the paths of format 1, in which a / or a number may be ambiguous."""
    return {
        keystr(keys, simple=True, separator="/"): _form(leaf, keystr(keys))
        for keys, leaf in tree_leaves_with_path(tree)
    }


def _name(key: Any, where: str) -> str:
    """Returns one key of a path."""
    if isinstance(key, DictKey):
        if not isinstance(key.key, _LASTING):
            raise ValueError(f"{where}: a {type(key.key).__name__} as a key has no stable name: use a string.")
        is_plain = isinstance(key.key, str) and not re.fullmatch(r"-?\d+|'.*", key.key, re.DOTALL)
        text = str(key.key) if is_plain else repr(key.key)
    elif isinstance(key, GetAttrKey):
        text = key.name
    elif isinstance(key, SequenceKey):
        text = str(key.idx)
    else:
        text = str(key.key) if isinstance(key, FlattenedIndexKey) else keystr((key,), simple=True)
    return text.replace("~", "~0").replace("/", "~1")


def _form(leaf: Any, where: str) -> str:
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct):
        raise ValueError(f"{where} is a {type(leaf).__name__}; a state's leaves must be arrays: np.asarray makes one.")
    if isinstance(leaf, np.ndarray) and type(leaf) not in (np.ndarray, np.memmap):
        raise ValueError(f"{where} is a {type(leaf).__name__}, and only its numbers would be saved.")
    if not is_key(leaf) and not _is_storable(leaf.dtype):
        raise ValueError(f"{where} has dtype {leaf.dtype}, which a checkpoint can't hold: convert it.")
    return f"{leaf.dtype}{list(leaf.shape)}".replace(" ", "")


def _is_storable(dtype: np.dtype) -> bool:
    """Says whether JAX has a dtype: numbers of up to 64 bits (128 if complex) and booleans."""
    widest = 16 if dtype.kind == "c" else 8
    return dtype.isnative and dtype.itemsize <= widest and (dtype.kind == "b" or jnp.issubdtype(dtype, jnp.number))
