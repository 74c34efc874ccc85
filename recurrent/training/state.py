"""The training state: everything that training carries from step to step, and all that a checkpoint holds."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from recurrent.training.checkpoints.fitting import Former
from recurrent.training.objective import Sums, zero_sums

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
        average: the averaged params, a tree like `params`; empty where nothing is averaged.

    >>> import jax.numpy as jnp, optax
    >>> from recurrent.training import init_state
    >>> init_state({"weight": jnp.ones(3)}, optax.sgd(0.1))._fields
    ('params', 'optimizer_state', 'step', 'sums', 'skipped', 'residue', 'average')
    """

    params: Any
    optimizer_state: Any
    step: Int[Array, ""]
    sums: Sums
    skipped: Int[Array, ""]
    residue: Sums
    average: Any = ()

    @property
    def weights(self) -> Any:
        """Returns the params to use outside training: the averaged ones if there are any."""
        return self.params if isinstance(self.average, tuple) and not self.average else self.average


def init_state(
    params: Any,
    optimizer: optax.GradientTransformation,
    metrics: Iterable[str] = ("acc",),
    has_average: bool = False,
) -> TrainState:
    """Returns the state before the first step. Each leaf is a copy, since steps donate their state.

    Args:
        params: a tree of arrays.
        optimizer: of Optax; the same as that of `make_train_steps`.
        metrics: names of the metrics that the objective returns; by default those of `binary_cross_entropy`.
        has_average: whether `make_train_steps` gets an `average`.

    Raises:
        ValueError: a metric's name is not text, is given twice, or would hide another field of a record.

    >>> import jax.numpy as jnp, optax
    >>> from recurrent.training import init_state
    >>> init_state({"weight": jnp.ones(3)}, optax.sgd(0.1), metrics=["absolute_error"]).step
    Array(0, dtype=int32)
    """
    sums, residue = zero_sums(metrics), zero_sums(metrics)
    step, skipped = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    average = params if has_average else ()
    return jax.tree.map(_own, TrainState(params, optimizer.init(params), step, sums, skipped, residue, average))


def _own(leaf: Any) -> Array:
    """Copies a leaf: a buffer that occurs twice, as in L-BFGS's state, which holds the params, can't be donated.

    The copy is not weakly typed, as after a step, so that the first step is no program of its own.
    """
    copied = jnp.copy(leaf)
    return copied.astype(copied.dtype) if getattr(copied, "weak_type", False) else copied


def former_paths(former: Former, there: Collection[str]) -> Former:
    """Returns the `Former` of a TrainState: earlier ones had one metric, `correct`, and still earlier no `residue`.

    Args:
        former: of the params and the optimizer's state.
        there: the paths in the checkpoint.
    """

    def path_before(path: str) -> str | None:
        earlier = path.replace("metrics/acc", "correct")
        if path.startswith(("sums/", "residue/")):
            return earlier if earlier in there or path.startswith("sums/") else None
        return former(path)

    return path_before
