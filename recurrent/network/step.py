"""A step of a batch, of one cell or a whole network: for agents and streams."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, PyTree

from recurrent.call.arguments import as_array, as_arrays, as_params, check_mask, fit
from recurrent.call.steps import cast
from recurrent.cells.protocol import Cell, step
from recurrent.network.description import Directions, Network, check_layers, check_network_params
from recurrent.network.residual import has_shortcut

__all__ = ["step_batch", "step_network"]


def step_network(
    network: Network,
    params: tuple[Directions, ...],
    states: tuple[Directions, ...],
    x: Float[Array, "*batch input"],
    *,
    is_start: Bool[Array, "*batch"] | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[tuple[Directions, ...], Float[Array, "*batch output"]]:
    """Advances all layers by one step, for agents and streams; returns the next states and the last layer's output.

    Steps one after the other are what `run_network` is over all of them at once. There is no noise.

    Args:
        is_start: True where a new sequence begins: the states are zero before this step, as in `run_network`.

    Raises:
        ValueError: the network is bidirectional, or something does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.network import Network, init, step_network, zero_states
    >>> network = Network((recurrent.lstm, recurrent.lstm), (4, 4), is_residual=True)
    >>> params = init(jax.random.key(0), network, input_size=3)
    >>> states, is_start = zero_states(network, params, (2,)), jnp.array([False, True])
    >>> states, output = step_network(network, params, states, jnp.ones((2, 3)), is_start=is_start)
    >>> output.shape
    (2, 4)
    """
    if network.is_bidirectional:
        raise ValueError("A bidirectional network has no single step: its outputs depend on what comes after them.")
    check_network_params(network, params)
    check_layers("states", network, states)
    x = as_arrays("x", x)
    after = []
    for layer, cell in enumerate(network.cells):
        own, state = params[layer].forward, states[layer].forward
        state, output = step_batch(cell, own, state, x, is_start=is_start, dtype=dtype)
        is_added = has_shortcut(network.is_residual, layer, x.shape[-1], output.shape[-1])
        x = output + x.astype(output.dtype) if is_added else output
        after.append(Directions(state))
    return tuple(after), x


def step_batch(
    cell: Cell,
    params: Any,
    state: Any,
    x: PyTree[Float[Array, "*batch _"]],
    *,
    is_start: Bool[Array, "*batch"] | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[Any, PyTree[Float[Array, "*batch _"]]]:
    """Advances a batch by one step: `recurrent.step` for each example, the output in the dtype that `run` would give.

    Args:
        is_start: True where a new sequence begins: the state is zero before this step, as in `run`.

    Raises:
        ValueError: the state does not fit the cell or the batch, or `is_start` is not one truth value an example.
    """
    x, params, is_start = as_arrays("x", x), as_params(cell, params), as_array("is_start", is_start)
    like = jax.tree.leaves(x)[0]
    batch = like.shape[:-1]
    state = fit("state", state, cell.zero_state(params), batch)
    check_mask("is_start", is_start, batch)

    def advance(state: Any, x: Any, is_start: Any) -> tuple[Any, Any]:
        return step(cell, params, state, x, is_start=is_start)

    for _ in batch:
        advance = jax.vmap(advance)
    state, output = advance(state, x, is_start)
    return state, cast(output, jnp.dtype(dtype or like.dtype))
