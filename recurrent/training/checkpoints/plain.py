"""The plain arrays that store the leaves of a state: NumPy's own dtypes with the same bits.

Typed keys become their data; bfloat16 and other dtypes that NumPy lacks become unsigned integers.
"""

from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path

from recurrent.training.mesh import put

__all__ = ["from_plain", "is_key", "is_part", "own_parts", "plain_form", "plain_parts", "to_plain"]

_WIDE = tuple(map(np.dtype, (np.int64, np.uint64, np.float64, np.complex128)))
_GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")


def is_part(leaf: Any) -> bool:
    """Says whether an array lies in several processes, and not as a copy on each device: all of them then write it."""
    return isinstance(leaf, jax.Array) and not leaf.is_fully_addressable and not leaf.is_fully_replicated


def own_parts(leaf: Any) -> list[tuple[str, np.ndarray]]:
    """Returns the parts of a leaf that this process has, each with its place; the whole leaf if it is not split."""
    data = jax.random.key_data(leaf) if is_key(leaf) else leaf
    if not is_part(data):
        return [("", np.asarray(jax.device_get(data)))]
    return [(str(shard.index), np.asarray(shard.data)) for shard in data.addressable_shards]


def to_plain(step: int, tree: Any) -> list[np.ndarray]:
    """Copies the leaves of a described tree to the host, as arrays of NumPy's own dtypes with the same bits.

    Raises:
        FloatingPointError: a number is NaN.
    """
    data = jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)
    plain = []
    for keys, leaf in tree_leaves_with_path(jax.device_get(data)):
        array = np.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.inexact) and np.isnan(array).any():
            raise FloatingPointError(f"Step {step}: {keystr(keys)} holds NaN; not saved.")
        plain.append(array.view(_plain_dtype(array.dtype)))
    return plain


def plain_parts(tree: Any) -> list[np.ndarray | jax.Array]:
    """Returns the arrays that store a tree of which this process has parts; see `to_plain`."""
    return [_plain_part(leaf) for leaf in jax.tree.leaves(tree)]


def _plain_part(leaf: Any) -> np.ndarray | jax.Array:
    data = jax.random.key_data(leaf) if is_key(leaf) else leaf
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


def plain_form(like: Any) -> np.ndarray | jax.ShapeDtypeStruct:
    """Returns an array of zeros with the shape and dtype that stores a leaf, or a description if it is split."""
    data = jax.random.key_data(like) if isinstance(like, jax.Array) and is_key(like) else like
    if is_part(data) and data.size:
        return jax.ShapeDtypeStruct(data.shape, _plain_dtype(data.dtype), sharding=data.sharding)
    if not is_key(like):
        return np.zeros(like.shape, _plain_dtype(like.dtype))
    data = jax.random.key_data(jax.random.key(0, impl=_generator(like)))
    return np.zeros((*like.shape, *data.shape), data.dtype)


def from_plain(array: Any, like: Any) -> Any:
    """Makes a leaf from the plain array that stores it, of the type of `like` and on its devices."""
    if isinstance(array, jax.Array):  # on its devices already
        return jax.random.wrap_key_data(array, impl=_generator(like)) if is_key(like) else _viewed(array, like.dtype)
    if is_key(like):
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


def is_key(leaf: Any) -> bool:
    """Says whether a leaf is an array of typed keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain_dtype(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")
