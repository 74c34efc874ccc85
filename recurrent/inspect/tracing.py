"""All that a cell computes at every step: outputs, states, gates and candidates."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, PyTree

from recurrent.batch import run
from recurrent.call.arguments import as_params
from recurrent.cells.protocol import Cell
from recurrent.cells.wrapped import Wrapped

__all__ = ["Trace", "trace"]


class Trace(NamedTuple):
    """What happened at each step, every array [*batch, time, ...]."""

    outputs: PyTree[Array]
    states: Any  # after the step, a State of the cell's
    gates: Any  # in the step, a Gates of the cell's; None where the cell has no function `gates`


def trace(cell: Cell, params: Any, inputs: PyTree[Float[Array, "*batch time _"]], **arguments: Any) -> Trace:
    """Runs a cell and returns what `run` leaves out: its states and gates at all steps.

    As in `run`, steps without a token repeat what was at the last one with a token: outputs, gates and states. All of
    them are zero where there is none yet in the sequence, the state too, whatever it began with.

    Args:
        arguments: those of `recurrent.run`. Without `dtype` nothing is rounded: all is in the state's own dtype.

    Raises:
        ValueError: as `run` does.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.inspect import trace
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> seen = trace(recurrent.lstm, params, jnp.ones((2, 5, 3)))
    >>> seen.gates.forget.shape, seen.states.memory.shape
    ((2, 5, 4), (2, 5, 4))
    """
    params = as_params(cell, params)
    exact = jax.tree.leaves(cell.zero_state(params))[0].dtype
    return run(_Traced(cell), params, inputs, **{"dtype": exact, **arguments})[0]


class _Traced(Wrapped):
    """Puts out all that a step computes. What is computed twice here, the compiler computes once."""

    def update(self, params: Any, state: Any, projected: Any, recurrent: Any) -> tuple[Any, Any]:
        open_gates = getattr(self.cell, "gates", None)
        gates = None if open_gates is None else open_gates(params, state, projected, recurrent)
        after, output = self.cell.update(params, state, projected, recurrent)
        return after, Trace(output, after, gates)
