"""What a cell is: pure functions over two NamedTuples of its own, one example and one step at a time.

The step is cut into three so that each part can be run where it is cheapest: `project` holds all that depends on the
input alone (one matmul for a whole sequence), `recur` is the matmul that has to wait for the state, and `update` is the
rest, element by element where the cell allows it.
"""

from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from recurrent.cells.params import check_params, check_state
from recurrent.shapes import Cut, Output, RandomKey, Step

__all__ = ["Cell", "step"]

Params = TypeVar("Params")
State = TypeVar("State")


@runtime_checkable
class Cell(Protocol[Params, State]):
    """Any object with these functions: a module such as `recurrent.lstm`, or a frozen dataclass that has options.

    Shapes are those of one example at one step; `vmap` adds a batch and `scan_cell` adds time. Sizes are read off the
    params and kept nowhere else. State has the dtype `promote(params' dtype, float32)`.

    A cell may have more: `gates`, with the arguments of `update`, whose result `recurrent.inspect.trace` shows, and the
    class `Params`, of which params must then be.
    """

    def init(self, key: RandomKey, input_size: int, hidden_size: int, *arguments: Any, **options: Any) -> Params:
        """Draws initial params."""
        ...

    def zero_state(self, params: Params) -> State:
        """Returns the state before the first step."""
        ...

    def project(self, params: Params, x: Step) -> Cut:
        """Returns what the input alone contributes to the step."""
        ...

    def recur(self, params: Params, state: State) -> Cut:
        """Returns what the state alone contributes to the step: the matmul that is sequential."""
        ...

    def update(self, params: Params, state: State, projected: Cut, recurrent: Cut) -> tuple[State, Output]:
        """Joins both into the next state and the step's output."""
        ...


def step(
    cell: Cell[Params, State],
    params: Params,
    state: State,
    x: PyTree[ArrayLike],
    *,
    is_start: ArrayLike | None = None,
) -> tuple[State, PyTree[Array]]:
    """Advances one example by one step and returns its next state and its output.

    Args:
        x: [input], or what the cell takes.
        is_start: True where a new sequence begins: the state is zero before this step, as in `run`.

    Raises:
        ValueError: params or state are another cell's or of other sizes, or `is_start` is not one truth value.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> state, output = recurrent.step(recurrent.gru, params, recurrent.gru.zero_state(params), jnp.ones(3))
    >>> output.shape
    (4,)
    """
    check_params(cell, params)
    check_state("state", state, jax.eval_shape(cell.zero_state, params))
    x = jnp.asarray(x) if type(x) is list else x
    if is_start is not None:
        is_start = jnp.asarray(is_start)
        if is_start.shape != () or is_start.dtype != jnp.bool_:
            raise ValueError(f"is_start must be one bool, not {is_start.dtype}{list(is_start.shape)}.")
        state = jax.tree.map(partial(jnp.where, is_start), cell.zero_state(params), state)
    return cell.update(params, state, cell.project(params, x), cell.recur(params, state))
