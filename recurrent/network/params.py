"""The params and states of a network: how they are drawn, and checks that they fit its description."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.call.steps import output_like
from recurrent.cells.params import check_params, hidden_size_of
from recurrent.cells.protocol import Cell
from recurrent.network.description import Directions, Network
from recurrent.network.residual import check_shortcut
from recurrent.shapes import RandomKey

__all__ = ["check_layers", "check_network_params", "each", "init", "zero_batch", "zero_states"]


def init(key: RandomKey, network: Network, input_size: int, **init_options: Any) -> tuple[Directions, ...]:
    """Draws the params of a network: those of its cell for each layer and direction.

    Args:
        key: a key from `jax.random.key`.
        network: the description.
        input_size: features of a step.
        init_options: options of the `init` of every cell, such as `dtype`.

    Raises:
        ValueError: a size is below 1, a cell's output is not one vector, or a residual network's layers have different
            sizes.

    >>> import jax, recurrent
    >>> network = recurrent.Network((recurrent.gru, recurrent.lstm), (4, 5))
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> params[1].forward.input_kernel.shape
    (4, 20)
    """
    keys = jax.random.split(key, (len(network.cells), 2 if network.is_bidirectional else 1))
    params = []
    for layer, (cell, hidden_size) in enumerate(zip(network.cells, network.hidden_sizes, strict=True)):
        own = Directions(*(cell.init(own_key, input_size, hidden_size, **init_options) for own_key in keys[layer]))
        output_size = sum(_output_size(cell, of_direction, input_size) for _, of_direction in each(own))
        if network.is_residual and layer > 0:
            check_shortcut(layer, input_size, output_size)
        params.append(own)
        input_size = output_size
    return tuple(params)


def zero_states(network: Network, params: tuple[Directions, ...], batch: tuple[int, ...] = ()) -> Any:
    """Returns the zero states of all layers and directions, with batch axes in front.

    Raises:
        ValueError: the params belong to another network.

    >>> import jax, recurrent
    >>> network = recurrent.Network((recurrent.gru, recurrent.lstm), (4, 5))
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> recurrent.network.zero_states(network, params, batch=(2,))[1].forward.memory.shape
    (2, 5)
    """
    check_network_params(network, params)
    return tuple(
        Directions(*(zero_batch(cell, of_direction, batch) for _, of_direction in each(own)))
        for cell, own in zip(network.cells, params, strict=True)
    )


def zero_batch(cell: Cell, params: Any, batch: tuple[int, ...]) -> Any:
    """Returns a cell's zero state with batch axes in front.

    >>> import jax, recurrent
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> recurrent.network.zero_batch(recurrent.gru, params, (2,)).hidden.shape
    (2, 4)
    """
    return jax.tree.map(lambda zero: jnp.broadcast_to(zero, (*batch, *zero.shape)), cell.zero_state(params))


def each(own: Directions) -> Iterator[tuple[bool, Any]]:
    """Yields a layer's directions, each as (reverse, params or state)."""
    return ((bool(index), of_direction) for index, of_direction in enumerate(own) if of_direction is not None)


def check_layers(name: str, network: Network, layers: tuple[Directions, ...]) -> None:
    """Raises ValueError for params or states with another number of layers or directions."""
    given = [len(list(each(own))) for own in layers]
    expected = [2 if network.is_bidirectional else 1] * len(network.cells)
    if given != expected:
        raise ValueError(f"{name} must have {expected} directions in its layers, not {given}.")


def check_network_params(network: Network, params: tuple[Directions, ...]) -> None:
    """Raises ValueError for params with other layers, directions, cells or sizes than the network's."""
    check_layers("params", network, params)
    for layer, (cell, hidden_size, own) in enumerate(zip(network.cells, network.hidden_sizes, params, strict=True)):
        for _, of_direction in each(own):
            check_params(cell, of_direction)
            size = hidden_size_of(cell, of_direction)
            if size not in (None, hidden_size):
                raise ValueError(
                    f"params: layer {layer} has {size} hidden units, but the network's hidden_sizes are "
                    f"{network.hidden_sizes}: the params belong to another network."
                )


def _output_size(cell: Cell, params: Any, input_size: int) -> int:
    """Returns the size of a cell's output, which may differ from its hidden size.

    Raises:
        ValueError: the output is not one vector, as the next layer needs.
    """
    x = jax.ShapeDtypeStruct((input_size,), jax.tree.leaves(params)[0].dtype)
    output = output_like(cell, params, x)
    if getattr(output, "ndim", None) != 1:
        raise ValueError(f"A network needs cells whose output is one vector per step, not {output}.")
    return output.shape[0]
