"""All that training carries from step to step, and so all that a checkpoint holds."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from recurrent.training.objective import Sums

__all__ = ["TrainState", "init_state"]


class TrainState(NamedTuple):
    """No key and no order of the data: both are functions of (seed, step)."""

    params: Any
    optimizer_state: Any
    step: Int[Array, ""]
    sums: Sums  # of the epoch so far, so that a resume in mid-epoch records the same numbers
    skipped: Int[Array, ""]  # steps so far that were not taken, since their loss or gradient was not finite


def init_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step."""
    # Three arrays, not one thrice, and params that may be one array in two places are copied: a donated buffer can be
    # given away only once.
    sums = Sums(*(jnp.zeros((), jnp.float32) for _ in Sums._fields))
    params = jax.tree.map(jnp.copy, params)
    step, skipped = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    return TrainState(params, optimizer.init(params), step, sums, skipped)
