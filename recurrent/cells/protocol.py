"""The protocol of cells: pure functions of one example at one step.

A step has three parts, so that each can run where it is cheapest: `project` depends on the input alone and is one
matmul for a whole sequence, `recur` is the matmul that needs the state, and `update` is the rest, element-wise in most
cells.
"""

from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from recurrent.cells.params import check_params, check_state
from recurrent.shapes import Cut, Output, RandomKey, Step

__all__ = ["Cell", "Params", "State", "step"]

Params = TypeVar("Params")
State = TypeVar("State")


@runtime_checkable
class Cell(Protocol[Params, State]):
    """The functions of a cell; a module such as `recurrent.lstm` is one, and so is a frozen dataclass with options.

    All arrays are those of one example at one step: `run` adds batches and time. The shapes of the params determine all
    sizes. The state has the params' dtype, but at least float32.

    Two more attributes are optional: `gates`, with the arguments of `update`, whose result `recurrent.inspect.trace`
    records; and `Params`, a class of which the params must be instances.

    >>> import recurrent
    >>> isinstance(recurrent.lstm, recurrent.Cell)
    True
    """

    def init(self, key: RandomKey, input_size: int, hidden_size: int, *arguments: Any, **options: Any) -> Params:
        """Draws initial params."""
        ...

    def zero_state(self, params: Params) -> State:
        """Returns the state before the first step."""
        ...

    def project(self, params: Params, x: Step) -> Cut:
        """Returns the input's contribution to the step."""
        ...

    def recur(self, params: Params, state: State) -> Cut:
        """Returns the state's contribution to the step: the sequential matmul."""
        ...

    def update(self, params: Params, state: State, projected: Cut, recurrent: Cut) -> tuple[State, Output]:
        """Combines both contributions into the next state and the output."""
        ...


def step(
    cell: Cell[Params, State],
    params: Params,
    state: State,
    x: PyTree[ArrayLike],
    *,
    is_start: ArrayLike | None = None,
) -> tuple[State, PyTree[Array]]:
    """Advances one example by one step; returns the next state and the output.

    Args:
        cell: a module such as `recurrent.lstm`, or any other `Cell`.
        params: the cell's params, from its `init`.
        state: the state before the step; the cell's `zero_state` at first.
        x: ``[input]``, or a tree of arrays if the cell takes one.
        is_start: True at the first step of a new sequence: the state is zero before this step.

    Raises:
        ValueError: params or state belong to another cell or have other sizes, or `is_start` is not one bool.

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
