"""Checks of what a cell is and of the params that it draws."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from recurrent.shapes import RandomKey
from recurrent.testing.words import FUNCTIONS, call, described, fail

__all__ = ["check_protocol", "draw_params"]


def check_protocol(cell: Any) -> None:
    """Checks that a cell has all functions, and can be a static argument of compiled functions."""
    if isinstance(cell, type):
        fail(cell, "is a class", f"pass an instance, such as {cell.__name__}().")
    missing = [name for name in FUNCTIONS if name != "gates" and not callable(getattr(cell, name, None))]
    if missing:
        fail(cell, f"lacks {', '.join(missing)}", "recurrent.Cell describes them.")
    try:
        hash(cell)
    except TypeError as error:
        fail(cell, f"has no hash ({error})", "write @dataclass(frozen=True), with fields that have one.")


def draw_params(cell: Any, key: RandomKey, input_size: int, hidden_size: int) -> Any:
    """Draws params and checks them: arrays, each in one place, the same for the same key."""
    params = call(cell, "init", key, input_size, hidden_size)
    leaves = jax.tree.leaves(params)
    if not all(isinstance(leaf, jax.Array) for leaf in leaves):
        fail(cell, f"has params that are no arrays of JAX ({described(params)})", "options are fields of the cell.")
    if len({id(leaf) for leaf in leaves}) < len(leaves):
        fail(cell, "has one array in two places of its params", "make a copy of it: a buffer can be donated only once.")
    again = jax.tree.leaves(call(cell, "init", jax.random.clone(key), input_size, hidden_size))
    if not all(np.array_equal(one, other, equal_nan=True) for one, other in zip(leaves, again, strict=True)):
        fail(cell, "draws other params for the same key", "take all randomness from the key: jax.random.split.")
    if not all(jnp.isfinite(leaf).all() for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)):
        fail(cell, "draws params that are not finite", "check the scale of its initializers.")
    return params
