"""One wide cell over several devices: each owns whole units, with all their gates.

A kernel's columns are the blocks of the gates, one after the other. Cut as they stand, a device gets some gates of many
units, and devices exchange gates at every step. `split_units` reorders the columns so that a device gets all gates of
its own units. Then a step has one exchange: each device needs the hidden state of all units for its matmul.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp

from recurrent.call.arguments import integer
from recurrent.call.meshes import vary_like
from recurrent.cells import gru, lstm, simple_rnn
from recurrent.cells.protocol import Cell
from recurrent.cells.wrapped import Wrapped
from recurrent.collectives import Collective, collectives

__all__ = ["Collective", "Split", "collectives", "join_units", "split_units"]

Params = TypeVar("Params")

NUM_GATES = {simple_rnn: 1, lstm: len(lstm.GATES), gru: len(gru.GATES)}


@dataclass(frozen=True)
class Split(Wrapped):
    """A cell within `jax.shard_map`, whose units are split over a mesh axis.

    Params are those of `split_units`, split along their last axis. State and outputs have a device's own units.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from jax.sharding import AxisType, PartitionSpec as P
    >>> from recurrent.sharding import Split, split_units
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> mesh = jax.make_mesh((1,), ("model",), axis_types=(AxisType.Auto,))
    >>> cell = Split(recurrent.lstm, "model")
    >>> run = jax.shard_map(
    ...     lambda params, inputs: recurrent.run(cell, params, inputs)[0],
    ...     mesh=mesh, in_specs=(recurrent.lstm.Params(P(None, "model"), P(None, "model"), P("model")), P()),
    ...     out_specs=P(None, None, "model"),
    ... )
    >>> jax.jit(run)(split_units(recurrent.lstm, params, mesh.shape["model"]), jnp.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    axis: str

    is_wrapper: ClassVar[bool] = False
    """The shapes of its params are not those of `cell`."""

    def __post_init__(self) -> None:
        """Raises ValueError for a cell whose units need more of each other than the hidden state."""
        _num_gates(self.cell)

    def zero_state(self, params: Any) -> Any:
        """Returns the state of a device's own units before the first step."""
        num_units = params.recurrent_kernel.shape[1] // _num_gates(self.cell)
        own = jax.tree.map(lambda leaf: leaf[:num_units], self.cell.zero_state(params))
        return vary_like(own, params)

    def recur(self, params: Any, state: Any) -> Any:
        """Gathers the hidden state of all units, and returns what it says to a device's own."""
        hidden = jax.lax.all_gather(state.hidden, self.axis, tiled=True)
        return self.cell.recur(params, state._replace(hidden=hidden))

    def update(self, params: Any, state: Any, projected: Any, recurrent: Any) -> Any:
        """Returns the next state and the output of a device's own units."""
        return self.cell.update(params, state, projected, recurrent)


def split_units(cell: Cell, params: Params, num_parts: int) -> Params:
    """Returns a cell's params with their columns reordered: `num_parts` equal parts have all gates of their units.

    Args:
        cell: `recurrent.lstm`, `recurrent.gru` or `recurrent.simple_rnn`.
        params: the cell's params, or a tree of the same form, such as their gradient.
        num_parts: devices along the mesh axis. It must divide the hidden size.

    Raises:
        ValueError: another cell, or the units can't be split into so many parts.

    >>> import jax, recurrent
    >>> from recurrent.sharding import split_units
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=2)  # forget biases are 1
    >>> params.bias.tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    >>> split_units(recurrent.lstm, params, num_parts=2).bias.tolist()
    [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    """
    return _reorder(cell, params, num_parts, is_joined=True)


def join_units(cell: Cell, params: Params, num_parts: int) -> Params:
    """Returns params with their columns in the cell's own order: the inverse of `split_units`.

    Raises:
        ValueError: another cell, or the units can't be in so many parts.

    >>> import jax, recurrent
    >>> from recurrent.sharding import join_units, split_units
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> joined = join_units(recurrent.gru, split_units(recurrent.gru, params, 2), 2)
    >>> bool((joined.recurrent_kernel == params.recurrent_kernel).all())
    True
    """
    return _reorder(cell, params, num_parts, is_joined=False)


def _reorder(cell: Cell, params: Params, num_parts: int, is_joined: bool) -> Params:
    num_parts, num_gates = integer("num_parts", num_parts, 1), _num_gates(cell)
    num_columns = {leaf.shape[-1] for leaf in jax.tree.leaves(params)}
    for columns in num_columns:
        if columns % (num_gates * num_parts):
            raise ValueError(f"The hidden size ({columns // num_gates}) must be a multiple of num_parts ({num_parts}).")
    old = (num_gates, num_parts) if is_joined else (num_parts, num_gates)

    def reorder(leaf: Any) -> Any:
        blocks = leaf.reshape(*leaf.shape[:-1], *old, -1)
        return jnp.swapaxes(blocks, -3, -2).reshape(leaf.shape)

    return jax.tree.map(reorder, params)


def _num_gates(cell: Cell) -> int:
    if cell not in tuple(NUM_GATES):
        raise ValueError("The units of simple_rnn, lstm and gru can be split over devices, and not of other cells.")
    return NUM_GATES[cell]
