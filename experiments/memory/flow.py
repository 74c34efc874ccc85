"""How far back a gradient reaches: ||dL/ds_t|| by lag, for each array of the state.

L is the loss at the last step. It is computed in float64, since a SimpleRNN's gradient over hundreds of steps is below
the smallest float32; values below the smallest float64 are left out. Norms are averaged over sequences as logarithms,
since each decreases along a line on that scale.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.memory.model import Params, last_loss
from experiments.memory.results import Flow
from experiments.memory.tasks import Examples, Task
from recurrent.inspect import decay, from_end, gradient_flow, norms

__all__ = ["measure_flow"]


def measure_flow(cell: Any, task: Task, pairs: Sequence[tuple[Params, Examples]]) -> dict[str, Flow]:
    """Measures the flow for each array of the state by its name (hidden, memory), as a mean over networks.

    Args:
        cell: of `recurrent.CELLS`.
        task: at a length.
        pairs: the params of each network, and a batch for it.
    """
    with jax.enable_x64(True):
        by_lag = [_log_norms(cell, task, *jax.tree.map(_widen, pair)) for pair in pairs]
        mean = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *by_lag)
        return {name: _flow(values) for name, values in mean._asdict().items()}


def _widen(leaf: Any) -> np.ndarray:
    leaf = np.asarray(leaf)
    return leaf.astype(np.float64) if np.issubdtype(leaf.dtype, np.floating) else leaf


@partial(jax.jit, static_argnums=(0, 1))
def _log_norms(cell: Any, task: Task, params: Params, examples: Examples) -> Any:
    """Returns a State of the mean logarithms of the norms by lag; -inf where a sequence's norm is zero."""
    _, gradient = gradient_flow(
        cell, params.cell, examples.inputs, lambda outputs, final: last_loss(params, task, final.hidden, examples)
    )
    return jax.tree.map(lambda each: jnp.mean(from_end(jnp.log10(each)), axis=0), norms(gradient))


def _flow(log_norms: Float[Array, "lag"]) -> Flow:
    """Makes the norms relative to the last step (or to the one before, if nothing reads c_T), and fits a line."""
    relative = log_norms - log_norms[jnp.argmax(jnp.isfinite(log_norms))]
    slope, half_life = decay(10.0**relative)
    return Flow([_finite(value, 3) for value in np.asarray(relative)], _finite(slope, 6), _finite(half_life, 2))


def _finite(value: Any, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
