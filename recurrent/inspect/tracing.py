"""The trace of a cell: outputs, states, gates and candidates of all steps."""

from typing import Any, NamedTuple, Unpack

import jax
from jaxtyping import Array, Float, PyTree

from recurrent.batch import run
from recurrent.call.arguments import as_params
from recurrent.call.options import RunOptions, refuse_unknown
from recurrent.cells.protocol import Cell
from recurrent.cells.wrapped import Wrapped

__all__ = ["Trace", "trace"]


class Trace(NamedTuple):
    """The values of all steps, in arrays ``[*batch, time, ...]``.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> recurrent.inspect.trace(recurrent.gru, params, jnp.ones((2, 5, 3))).outputs.shape
    (2, 5, 4)
    """

    outputs: PyTree[Array]
    states: Any  # the cell's State after each step
    gates: Any  # the cell's Gates; None if the cell has no function `gates`


def trace(
    cell: Cell, params: Any, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[RunOptions]
) -> Trace:
    """Runs a cell and returns its outputs, states and gates at all steps.

    A masked step repeats the outputs, states and gates of the last token. Before the first token all of them are zero,
    including the state, whatever the initial one.

    Args:
        cell: as in `run`, like `params`, `inputs` and all options.
        params: as in `run`.
        inputs: as in `run`.
        dtype: the dtype of all traced arrays; the state's by default, so that nothing is rounded.

    Raises:
        ValueError: a shape or dtype does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.inspect import trace
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> seen = trace(recurrent.lstm, params, jnp.ones((2, 5, 3)))
    >>> seen.gates.forget.shape, seen.states.memory.shape
    ((2, 5, 4), (2, 5, 4))
    """
    refuse_unknown("trace", options, RunOptions)
    params = as_params(cell, params)
    exact = jax.tree.leaves(cell.zero_state(params))[0].dtype
    arguments: dict[str, Any] = {"dtype": exact, **options}
    return run(_Traced(cell), params, inputs, **arguments)[0]


class _Traced(Wrapped):
    """Outputs all values of a step. The compiler removes what is computed twice here."""

    def update(self, params: Any, state: Any, projected: Any, recurrent: Any) -> tuple[Any, Any]:
        open_gates = getattr(self.cell, "gates", None)
        gates = None if open_gates is None else open_gates(params, state, projected, recurrent)
        after, output = self.cell.update(params, state, projected, recurrent)
        return after, Trace(output, after, gates)
