"""One step of a batch, for agents and streams: of one cell or of a whole network."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, PyTree

from recurrent.call.arguments import as_array, as_arrays, as_params, fit
from recurrent.call.axes import over_axes
from recurrent.call.checks import check_mask
from recurrent.cells.precision import cast
from recurrent.cells.protocol import Cell, step
from recurrent.network.description import Directions, Network
from recurrent.network.params import check_layers, check_network_params
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
    """Advances all layers by one step; returns the next states and the last layer's output.

    A sequence of steps computes what `run_network` computes for all of them at once. There is no dropout.

    Args:
        network: the description; it must have one direction.
        params: from `network.init`: one `Directions` per layer.
        states: the states before the step; `network.zero_states` at first.
        x: ``[*batch, input]``.
        is_start: ``[*batch]``, True at the first step of a new sequence: the states are zero before this step.
        dtype: the dtype of the output; the input's by default.

    Raises:
        ValueError: the network is bidirectional, or a shape or dtype does not fit.

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
        raise ValueError("A bidirectional network cannot advance by one step: its outputs depend on later inputs.")
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
    """Advances a batch of one cell by one step: `recurrent.step` for each example, with `run`'s output dtype.

    Args:
        cell: a module such as `recurrent.lstm`, or any other `Cell`.
        params: the cell's params, from its `init`.
        state: the state before the step, arrays ``[*batch, hidden]``.
        x: ``[*batch, input]``, or a tree of arrays if the cell takes one.
        is_start: ``[*batch]``, True at the first step of a new sequence: the state is zero before this step.
        dtype: the dtype of the output; the input's by default.

    Raises:
        ValueError: the state does not fit the cell or the batch, or `is_start` is not one bool per example.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.network import step_batch, zero_batch
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> state = zero_batch(recurrent.lstm, params, (2,))
    >>> state, output = step_batch(recurrent.lstm, params, state, jnp.ones((2, 3)))
    >>> output.shape
    (2, 4)
    """
    x, params, is_start = as_arrays("x", x), as_params(cell, params), as_array("is_start", is_start)
    like = jax.tree.leaves(x)[0]
    batch = like.shape[:-1]
    state = fit("state", state, cell.zero_state(params), batch)
    check_mask("is_start", is_start, batch)

    def advance(state: Any, x: Any, is_start: Any) -> tuple[Any, Any]:
        return step(cell, params, state, x, is_start=is_start)

    state, output = over_axes(advance, len(batch))(state, x, is_start)
    return state, cast(output, jnp.dtype(dtype or like.dtype))
