"""The random numbers of a run: a stream of keys for each use, each a function of the run's seed.

    order      with the epoch folded in: the order of the data
    noise      with the step folded in: the key of an objective
    weights    the initial weights

No two uses share a key. None of JAX's global settings changes what is drawn: neither the default generator nor
threefry's partitioning, the seed offset, 64-bit mode or the default device.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from recurrent.call.arguments import integer
from recurrent.shapes import RandomKey

__all__ = ["VERSION", "check_seed", "draw_weights", "fixed_draws", "stream"]

Drawn = TypeVar("Drawn")

VERSION = 2
"""How keys derive from a seed. In version 1, which runs of earlier revisions keep, all uses share the root key."""

_IMPLEMENTATION = "threefry2x32"


def stream(seed: int, name: str, version: int = VERSION) -> RandomKey:
    """Returns the key of one use of a seed's random numbers. Fold a counter into it before drawing.

    Args:
        seed: from 0 to 2**64 - 1; all 64 bits count.
        name: of the use. `fit` uses "order" and "noise", `draw_weights` uses "weights".
        version: 2, or 1 for runs of earlier revisions.

    Raises:
        ValueError: the seed is not an integer in that range.

    >>> from recurrent.training import stream
    >>> stream(0, "noise") == stream(0, "weights")
    Array(False, dtype=bool)
    """
    # The key's two words are set here: `jax.random.key` drops a seed's upper half unless 64-bit mode is on.
    high, low = divmod(check_seed(seed), 1 << 32)
    root = jax.random.wrap_key_data(jnp.array([high, low], jnp.uint32), impl=_IMPLEMENTATION)
    if version == 1:
        return root
    constant = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return jax.random.fold_in(root, constant)


def check_seed(seed: Any) -> int:
    """Returns a seed as a Python integer.

    Raises:
        ValueError: it is not an integer from 0 to 2**64 - 1.
    """
    return integer("seed", seed, 0, 1 << 64)


@contextmanager
def fixed_draws() -> Iterator[None]:
    """Makes draws from keys independent of JAX's global settings, as a context manager.

    It must surround the call of a compiled function, not stand in the function. Three settings still count: 64-bit
    mode, which sets the default dtype of a draw, and two for which JAX has no context manager:
    `jax_random_seed_offset`, which acts on keys made by `jax.random.key`, and `jax_high_dynamic_range_gumbel`.

    >>> import jax
    >>> from recurrent.training import fixed_draws, stream
    >>> with fixed_draws():
    ...     draw = jax.random.uniform(stream(0, "noise"))
    """
    with jax.threefry_partitionable(True), jax.default_prng_impl(_IMPLEMENTATION):
        yield


def draw_weights(seed: int, init: Callable[[RandomKey], Drawn]) -> Drawn:
    """Returns a run's initial weights: calls `init` with the key of the seed's stream "weights".

    Args:
        seed: from 0 to 2**64 - 1.
        init: key -> weights.

    Raises:
        ValueError: the seed is not an integer from 0 to 2**64 - 1.

    >>> import recurrent
    >>> from recurrent.training import draw_weights
    >>> params = draw_weights(0, lambda key: recurrent.lstm.init(key, input_size=3, hidden_size=4))
    >>> params.bias.shape
    (16,)
    """
    with fixed_draws():
        return init(stream(seed, "weights"))
