"""The training state: everything that training carries from step to step, and all that a checkpoint holds."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from recurrent.training.checkpoints.fitting import Former
from recurrent.training.objective import Sums

__all__ = ["TrainState", "former_paths", "init_state"]


class TrainState(NamedTuple):
    """The state of training; `init_state` makes the first one.

    It holds no key and no order of the data: both are functions of (seed, step).

    Attributes:
        params: a tree of arrays.
        optimizer_state: Optax's.
        step: steps done.
        sums: of the epoch so far, so that a resume within an epoch records the same numbers.
        skipped: steps so far that were not taken, since their loss or gradient was not finite.
        residue: the rounding errors of `sums`; without it, a float32 would count only to 2**24.

    >>> import jax.numpy as jnp, optax
    >>> from recurrent.training import init_state
    >>> init_state({"weight": jnp.ones(3)}, optax.sgd(0.1))._fields
    ('params', 'optimizer_state', 'step', 'sums', 'skipped', 'residue')
    """

    params: Any
    optimizer_state: Any
    step: Int[Array, ""]
    sums: Sums
    skipped: Int[Array, ""]
    residue: Sums


def init_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step. Each leaf is a copy, since steps donate their state.

    Args:
        params: a tree of arrays.
        optimizer: of Optax; the same as that of `make_train_steps`.

    >>> import jax.numpy as jnp, optax
    >>> from recurrent.training import init_state
    >>> init_state({"weight": jnp.ones(3)}, optax.sgd(0.1)).step
    Array(0, dtype=int32)
    """
    sums, residue = (Sums(*(jnp.zeros((), jnp.float32) for _ in Sums._fields)) for _ in range(2))
    step, skipped = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    return jax.tree.map(_own, TrainState(params, optimizer.init(params), step, sums, skipped, residue))


def _own(leaf: Any) -> Array:
    """Copies a leaf: a buffer that occurs twice, as in L-BFGS's state, which holds the params, can't be donated.

    The copy is not weakly typed, as after a step, so that the first step is no program of its own.
    """
    copied = jnp.copy(leaf)
    return copied.astype(copied.dtype) if getattr(copied, "weak_type", False) else copied


def former_paths(former: Former) -> Former:
    """Returns the `Former` of a TrainState: earlier checkpoints had no `residue`."""
    return lambda path: None if path.startswith("residue/") else former(path)
