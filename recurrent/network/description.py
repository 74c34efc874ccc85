"""What a network is, and its params and states."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from recurrent.call.steps import output_like
from recurrent.cells.params import check_params, hidden_size_of
from recurrent.cells.protocol import Cell
from recurrent.network.residual import has_shortcut
from recurrent.shapes import RandomKey

__all__ = ["Directions", "Network", "check_layers", "check_network_params", "each", "init", "zero_batch", "zero_states"]


@dataclass(frozen=True)
class Network:
    """What a network is; its params are `init`'s.

    Args:
        cells: one a layer, the one next to the inputs first; they need not be alike.
        hidden_sizes: one a layer, and for each of its directions.
        is_bidirectional: reads the inputs backwards too, in every layer.
        is_residual: adds what a layer is given to what it puts out, half by half where it has two directions. The first
            layer is left as it is where its sizes differ, since nobody chooses the size of the data.
        dropout_rate: of what each layer but the first is given, drawn anew at each step, and only where a key is given.

    Raises:
        ValueError: there is not one size for each cell, or the rate is no probability below 1.
    """

    cells: tuple[Cell, ...]
    hidden_sizes: tuple[int, ...]
    is_bidirectional: bool = False
    is_residual: bool = False
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.cells, Iterable):
            raise ValueError(f"cells must be a tuple, one cell a layer, such as (recurrent.lstm,), not {self.cells}.")
        if not isinstance(self.hidden_sizes, Iterable):
            raise ValueError(f"hidden_sizes must be a tuple, one size a layer, such as (4,), not {self.hidden_sizes}.")
        object.__setattr__(self, "cells", tuple(self.cells))  # a list could not be hashed
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        if not all(isinstance(size, Integral) and size >= 1 for size in self.hidden_sizes):
            raise ValueError(f"hidden_sizes must be integers of at least 1, not {self.hidden_sizes}.")
        if not self.cells or len(self.cells) != len(self.hidden_sizes):
            raise ValueError(
                "A network needs cells, and a hidden size for each of them; "
                f"it was given {len(self.cells)} and the sizes {self.hidden_sizes}."
            )
        if not 0 <= self.dropout_rate < 1:
            raise ValueError(f"dropout_rate must be at least 0 and below 1, not {self.dropout_rate}.")


class Directions(NamedTuple):
    """A layer's params or states; `backward` is None where the network has one direction."""

    forward: Any
    backward: Any = None


def init(key: RandomKey, network: Network, input_size: int, **init_options: Any) -> tuple[Directions, ...]:
    """Draws params: for each layer and direction those of its cell.

    Args:
        init_options: for the `init` of every cell, such as `dtype`.

    Raises:
        ValueError: a size is below 1, or the sizes of a residual network's layers differ.
    """
    keys = jax.random.split(key, (len(network.cells), 2 if network.is_bidirectional else 1))
    params = []
    for layer, (cell, hidden_size) in enumerate(zip(network.cells, network.hidden_sizes, strict=True)):
        own = Directions(*(cell.init(own_key, input_size, hidden_size, **init_options) for own_key in keys[layer]))
        output_size = sum(_output_size(cell, of_direction, input_size) for _, of_direction in each(own))
        has_shortcut(network.is_residual, layer, input_size, output_size)
        params.append(own)
        input_size = output_size
    return tuple(params)


def zero_states(network: Network, params: tuple[Directions, ...], batch: tuple[int, ...] = ()) -> Any:
    """Returns the states before the first step, with batch axes in front."""
    check_network_params(network, params)
    return tuple(
        Directions(*(zero_batch(cell, of_direction, batch) for _, of_direction in each(own)))
        for cell, own in zip(network.cells, params, strict=True)
    )


def zero_batch(cell: Cell, params: Any, batch: tuple[int, ...]) -> Any:
    """Returns a batch of a cell's zero states."""
    return jax.tree.map(lambda zero: jnp.broadcast_to(zero, (*batch, *zero.shape)), cell.zero_state(params))


def each(own: Directions) -> Iterator[tuple[bool, Any]]:
    """Yields a layer's directions, each as (reverse, what it has)."""
    return ((bool(index), of_direction) for index, of_direction in enumerate(own) if of_direction is not None)


def check_layers(name: str, network: Network, layers: tuple[Directions, ...]) -> None:
    """Raises ValueError for params or states of another depth, or of other directions."""
    given = [len(list(each(own))) for own in layers]
    expected = [2 if network.is_bidirectional else 1] * len(network.cells)
    if given != expected:
        raise ValueError(f"{name} must have {expected} directions, a number for each layer, not {given}.")


def check_network_params(network: Network, params: tuple[Directions, ...]) -> None:
    """Raises ValueError for params of another network: of other depth, directions, cells or sizes."""
    check_layers("params", network, params)
    for layer, (cell, hidden_size, own) in enumerate(zip(network.cells, network.hidden_sizes, params, strict=True)):
        for _, of_direction in each(own):
            check_params(cell, of_direction)
            size = hidden_size_of(cell, of_direction)
            if size not in (None, hidden_size):
                raise ValueError(
                    f"params: layer {layer} has {size} hidden units, and the network's hidden_sizes "
                    f"{network.hidden_sizes} give it {hidden_size}: these are another network's params."
                )


def _output_size(cell: Cell, params: Any, input_size: int) -> int:
    """Returns the size of a cell's output, which need not be its hidden size.

    Raises:
        ValueError: the output is not one vector, so that no layer can be put upon it.
    """
    x = jax.ShapeDtypeStruct((input_size,), jax.tree.leaves(params)[0].dtype)
    output = output_like(cell, params, x)
    if getattr(output, "ndim", None) != 1:
        raise ValueError(f"A network needs cells that put out one vector a step, not {output}.")
    return output.shape[0]
