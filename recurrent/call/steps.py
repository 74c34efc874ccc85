"""One step of a sequence: the cell's own step, with resets, cuts, recurrent dropout and masks around it.

    enter     replaces the carried state where a sequence starts, and cuts gradients
    recur     calls the cell's `recur` on the hidden state times `recurrent_mask`
    leave     calls the cell's `update`, and keeps the old state at a masked step

Every backend calls these three functions; backends differ only in how they loop.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from recurrent.cells.protocol import Cell
from recurrent.cells.protocol import step as take_step

__all__ = ["Carry", "Steps", "advance", "enter", "forget", "leave", "output_like", "recur", "select"]


class Steps(NamedTuple):
    """Arguments of each step, [time, ...] or those of one step; unused ones are None."""

    inputs: PyTree[Array]
    is_token: Bool[Array, "*time"] | None = None
    is_reset: Bool[Array, "*time"] | None = None
    reset_state: Any = None  # the state after a reset; None for zero
    is_cut: Bool[Array, "*time"] | None = None  # True where no gradient passes from this step to the one before
    recurrent_mask: Float[Array, "*time hidden"] | None = None


class Carry(NamedTuple):
    """The loop's carry: the state, and the last output if a masked step may repeat it."""

    state: Any
    held: PyTree[Array]


def advance(cell: Cell, params: Any, carry: Carry, step: Steps, projected: Any) -> tuple[Carry, PyTree[Array]]:
    """Computes one step; returns the next carry and the output."""
    carry = enter(cell, params, carry, step)
    return leave(cell, params, carry, step, projected, recur(cell, params, carry, step.recurrent_mask))


def enter(cell: Cell, params: Any, carry: Carry, step: Steps) -> Carry:
    """Returns the carry that the step starts from, after cuts and resets."""
    if step.is_cut is not None:
        carry = select(step.is_cut, jax.lax.stop_gradient(carry), carry)
    if step.is_reset is not None:
        state = cell.zero_state(params) if step.reset_state is None else step.reset_state
        carry = select(step.is_reset, Carry(state, jax.tree.map(jnp.zeros_like, carry.held)), carry)
    return carry


def forget(d_carry: Carry, step: Steps) -> Carry:
    """Pulls a cotangent back through `enter`; it is zero before a reset or a cut."""
    for is_stopped in (step.is_reset, step.is_cut):
        if is_stopped is not None:
            d_carry = select(is_stopped, jax.tree.map(jnp.zeros_like, d_carry), d_carry)
    return d_carry


def recur(cell: Cell, params: Any, carry: Carry, recurrent_mask: Float[Array, "hidden"] | None) -> Any:
    """Returns the cell's `recur` of the state, with its hidden part multiplied by the mask."""
    state = carry.state
    if recurrent_mask is not None:
        state = state._replace(hidden=state.hidden * recurrent_mask.astype(state.hidden.dtype))
    return cell.recur(params, state)


def leave(
    cell: Cell, params: Any, carry: Carry, step: Steps, projected: Any, recurrent: Any
) -> tuple[Carry, PyTree[Array]]:
    """Returns the carry after the step, and its output; a masked step keeps the state and repeats the last output."""
    state, output = cell.update(params, carry.state, projected, recurrent)
    if step.is_token is None:
        return Carry(state, None), output
    if carry.held is None:
        return Carry(select(step.is_token, state, carry.state), None), output
    state, output = select(step.is_token, (state, output), (carry.state, carry.held))
    return Carry(state, output), output


def select(condition: Bool[Array, ""], where_true: Any, where_false: Any) -> Any:
    """Selects between two trees of the same structure, leaf by leaf."""
    return jax.tree.map(partial(jnp.where, condition), where_true, where_false)


def output_like(cell: Cell, params: Any, x: Any) -> PyTree[jax.ShapeDtypeStruct]:
    """Returns the shapes and dtypes of a step's output, without computing it."""
    return jax.eval_shape(lambda x: take_step(cell, params, cell.zero_state(params), x)[1], x)
