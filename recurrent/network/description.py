"""The description of a network."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from recurrent.call.arguments import integer
from recurrent.cells.protocol import Cell
from recurrent.regularize.draw import check_rate

__all__ = ["Directions", "Network"]


@dataclass(frozen=True)
class Network:
    """A static description of a network; `network.init` draws its params.

    Args:
        cells: one per layer, the first layer's first; they may differ.
        hidden_sizes: the hidden size of each layer, in each of its directions.
        is_bidirectional: runs each layer in both directions and concatenates the outputs.
        is_residual: adds each layer's input to its output; with two directions, each half of the input to the output
            of one direction. The first layer has no shortcut if its input and output sizes differ.
        dropout_rate: the probability of dropping an element of the input of each layer except the first, drawn anew at
            each step. There is no dropout without a key.

    Raises:
        ValueError: the number of sizes differs from that of cells, a size is below 1, or the rate is not in [0, 1).

    >>> import recurrent
    >>> network = recurrent.Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)
    >>> len(network.cells)
    2
    """

    cells: tuple[Cell, ...]
    hidden_sizes: tuple[int, ...]
    is_bidirectional: bool = False
    is_residual: bool = False
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.cells, Iterable):
            raise ValueError(f"cells must be a tuple, one cell per layer, such as (recurrent.lstm,), not {self.cells}.")
        if not isinstance(self.hidden_sizes, Iterable):
            raise ValueError(
                f"hidden_sizes must be a tuple, one size per layer, such as (4,), not {self.hidden_sizes}."
            )
        sizes = tuple(
            integer("a size in hidden_sizes", size, at_least=1, takes_arrays=False) for size in self.hidden_sizes
        )
        object.__setattr__(self, "cells", tuple(self.cells))  # a list is not hashable
        object.__setattr__(self, "hidden_sizes", sizes)
        if not self.cells or len(self.cells) != len(sizes):
            raise ValueError(
                "A network needs at least one cell, and one hidden size per cell, "
                f"not {len(self.cells)} cells and the sizes {sizes}."
            )
        check_rate("dropout_rate", self.dropout_rate)


class Directions(NamedTuple):
    """The params or states of one layer; `backward` is None in a network of one direction.

    >>> import jax, recurrent
    >>> network = recurrent.Network((recurrent.gru,), (4,), is_bidirectional=True)
    >>> (layer,) = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> layer.backward.bias.shape
    (2, 12)
    """

    forward: Any
    backward: Any = None
