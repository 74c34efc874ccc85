"""The leaves of a state: which a checkpoint can hold, the path of each, and the plain array that stores it.

A path joins the keys that lead to a leaf, as in params/layers/0/kernel. It is unambiguous: within a key, / is written
~1 and ~ is written ~0 (as in RFC 6901), and a string that looks like a number is quoted.
"""

import enum
import re
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey, keystr, tree_leaves_with_path

from recurrent.training.mesh import put

__all__ = [
    "check_leaves",
    "describe",
    "describe_format_1",
    "from_plain",
    "is_part",
    "own_parts",
    "plain_form",
    "plain_parts",
    "to_plain",
]

_LASTING = (str, int, float, bytes, tuple, enum.Enum)  # types of dict keys whose text is the same in every process
_GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")


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


def to_plain(step: int, tree: Any) -> list[np.ndarray]:
    """Copies the leaves of a described tree to the host, as arrays of NumPy's own dtypes with the same bits.

    Typed keys become their data; bfloat16 and other dtypes that NumPy lacks become unsigned integers.

    Raises:
        FloatingPointError: a number is NaN.
    """
    data = jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)
    plain = []
    for keys, leaf in tree_leaves_with_path(jax.device_get(data)):
        array = np.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.inexact) and np.isnan(array).any():
            raise FloatingPointError(f"Step {step}: {keystr(keys)} holds NaN; not saved.")
        plain.append(array.view(_plain_dtype(array.dtype)))
    return plain


def is_part(leaf: Any) -> bool:
    """Says whether an array is split over processes, so that this one has not all of it."""
    return isinstance(leaf, jax.Array) and not leaf.is_fully_addressable and not leaf.is_fully_replicated


def own_parts(leaf: Any) -> list[tuple[str, np.ndarray]]:
    """Returns the parts of a leaf that this process has, each with its place; the whole leaf if it is not split."""
    data = jax.random.key_data(leaf) if _is_key(leaf) else leaf
    if not is_part(data):
        return [("", np.asarray(jax.device_get(data)))]
    return [(str(shard.index), np.asarray(shard.data)) for shard in data.addressable_shards]


def plain_parts(tree: Any) -> list[np.ndarray | jax.Array]:
    """Returns the arrays that store a tree of which this process has parts; see `to_plain`."""
    return [_plain_part(leaf) for leaf in jax.tree.leaves(tree)]


def _plain_part(leaf: Any) -> np.ndarray | jax.Array:
    data = jax.random.key_data(leaf) if _is_key(leaf) else leaf
    if is_part(data):
        return _viewed(data, _plain_dtype(data.dtype))
    array = np.asarray(jax.device_get(data))
    return array.view(_plain_dtype(array.dtype))


def _viewed(array: jax.Array, dtype: np.dtype) -> jax.Array:
    """Returns the bits of an array in another dtype, part by part, where it lies."""
    if array.dtype == dtype:
        return array
    parts = [jax.device_put(np.asarray(shard.data).view(dtype), shard.device) for shard in array.addressable_shards]
    return jax.make_array_from_single_device_arrays(array.shape, array.sharding, parts)


_WIDE = tuple(map(np.dtype, (np.int64, np.uint64, np.float64, np.complex128)))


def plain_form(like: Any) -> np.ndarray | jax.ShapeDtypeStruct:
    """Returns an array of zeros with the shape and dtype that stores a leaf, or a description if it is split."""
    data = jax.random.key_data(like) if isinstance(like, jax.Array) and _is_key(like) else like
    if is_part(data) and data.size:
        return jax.ShapeDtypeStruct(data.shape, _plain_dtype(data.dtype), sharding=data.sharding)
    if not _is_key(like):
        return np.zeros(like.shape, _plain_dtype(like.dtype))
    data = jax.random.key_data(jax.random.key(0, impl=_generator(like)))
    return np.zeros((*like.shape, *data.shape), data.dtype)


def from_plain(array: Any, like: Any) -> Any:
    """Makes a leaf from the plain array that stores it, of the type of `like` and on its devices."""
    if isinstance(array, jax.Array):  # on its devices already
        return jax.random.wrap_key_data(array, impl=_generator(like)) if _is_key(like) else _viewed(array, like.dtype)
    if _is_key(like):
        return _place(jax.random.wrap_key_data(jnp.asarray(array), impl=_generator(like)), like)
    array = array.view(like.dtype)
    if isinstance(like, np.ndarray):
        return array
    if isinstance(like, np.generic):
        return array[()]
    with jax.enable_x64(True) if array.dtype in _WIDE else nullcontext():  # else JAX would silently halve the precision
        return _place(array, like)


def _place(array: Any, like: Any) -> jax.Array:
    """Puts an array on the devices of another, and makes it committed and weakly typed as that one is."""
    if getattr(like, "weak_type", False):
        weak = jnp.full(like.shape, like.dtype.type(0).item())
        array = weak.at[...].set(array) if weak.dtype == like.dtype else array
    is_free = isinstance(like, jax.Array) and not like.committed
    return jnp.asarray(array) if like.sharding is None or is_free else put(array, like.sharding)


def _generator(key: Any) -> Any:
    """Returns the implementation of a typed key, or of a description of one."""
    if isinstance(key, jax.Array):
        return jax.random.key_impl(key)
    return next(name for name in _GENERATORS if jax.random.key(0, impl=name).dtype == key.dtype)


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
    if not _is_key(leaf) and not _is_storable(leaf.dtype):
        raise ValueError(f"{where} has dtype {leaf.dtype}, which a checkpoint can't hold: convert it.")
    return f"{leaf.dtype}{list(leaf.shape)}".replace(" ", "")


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _is_storable(dtype: np.dtype) -> bool:
    """Says whether JAX has a dtype: numbers of up to 64 bits (128 if complex) and booleans."""
    widest = 16 if dtype.kind == "c" else 8
    return dtype.isnative and dtype.itemsize <= widest and (dtype.kind == "b" or jnp.issubdtype(dtype, jnp.number))


def _plain_dtype(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")
