"""All that training carries from step to step, and so all that a checkpoint holds."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from recurrent.training.checkpoints.fitting import Former
from recurrent.training.objective import Sums

__all__ = ["TrainState", "former_paths", "init_state"]


class TrainState(NamedTuple):
    """No key and no order of the data: both are functions of (seed, step)."""

    params: Any
    optimizer_state: Any
    step: Int[Array, ""]
    sums: Sums  # of the epoch so far, so that a resume in mid-epoch records the same numbers
    skipped: Int[Array, ""]  # steps so far that were not taken, since their loss or gradient was not finite
    residue: Sums  # what `sums` lacks: a float32 would count to 2**24 alone


def init_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step, each leaf an array of its own."""
    sums, residue = (Sums(*(jnp.zeros((), jnp.float32) for _ in Sums._fields)) for _ in range(2))
    step, skipped = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    return jax.tree.map(_own, TrainState(params, optimizer.init(params), step, sums, skipped, residue))


def _own(leaf: Any) -> Array:
    """Copies a leaf: a buffer that stands in two places, as L-BFGS keeps the params, can't be donated.

    What a Python number became is no longer promoted like one, as after a step: so there is one program for both.
    """
    copied = jnp.copy(leaf)
    return copied.astype(copied.dtype) if getattr(copied, "weak_type", False) else copied


def former_paths(former: Former) -> Former:
    """Returns what the leaves of a TrainState were called in earlier checkpoints, which had no `residue`."""
    return lambda path: None if path.startswith("residue/") else former(path)
