"""How far back a gradient reaches: ||dL/ds_t|| against the lag, for each array of the state.

L is the loss at the last step. Computed in float64, since what a SimpleRNN sends back over hundreds of steps lies below
the least float32; what is below the least float64 too is left out. Norms are averaged over sequences as logarithms, the
scale on which each of them falls along a line.
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
        pairs: the params of each network, and the batch that it is shown.
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
    """Returns a State of the norms' mean logarithms by lag; -inf where a sequence has none left."""
    _, gradient = gradient_flow(
        cell, params.cell, examples.inputs, lambda outputs, final: last_loss(params, task, final.hidden, examples)
    )
    return jax.tree.map(lambda each: jnp.mean(from_end(jnp.log10(each)), axis=0), norms(gradient))


def _flow(log_norms: Float[Array, "lag"]) -> Flow:
    """Sets the last step's to zero, or where it has none (nothing reads c_T again) the one's before; fits a line."""
    relative = log_norms - log_norms[jnp.argmax(jnp.isfinite(log_norms))]
    slope, half_life = decay(10.0**relative)
    return Flow([_finite(value, 3) for value in np.asarray(relative)], _finite(slope, 6), _finite(half_life, 2))


def _finite(value: Any, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
