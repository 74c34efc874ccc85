"""The arguments of every step of a pass: where states are reset and gradients cut, in the order of the pass."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from recurrent.call.call import Call
from recurrent.call.padding import blank
from recurrent.call.steps import Steps

__all__ = ["resets", "steps_of"]


def steps_of(call: Call, zero: Any, num_steps: int) -> Steps:
    """Returns the arguments of each step, [time, ...], of a call whose arrays have time as their first axis.

    Args:
        zero: the cell's zero state, for its dtypes.
    """
    inputs = call.inputs if call.is_token is None else blank(call.inputs, call.is_token)
    return Steps(
        inputs=inputs,
        is_token=call.is_token,
        is_reset=None if call.is_start is None else resets(call.is_start, call.reverse),
        reset_state=_reset_states(call.reset_to, call.reset_index, zero, call.reverse),
        is_cut=_cuts(num_steps, call.truncate_every, call.reverse),
        recurrent_mask=_spread(call.recurrent_mask, num_steps),
    )


def resets(is_start: Bool[Array, "time *batch"], reverse: bool) -> Bool[Array, "time *batch"]:
    """Returns True for the steps before which the state is reset; in a reversed pass those follow the starts."""
    if not reverse:
        return is_start
    return jnp.concatenate([is_start[1:], jnp.zeros_like(is_start[:1])])


def _cuts(num_steps: int, truncate_every: int | None, reverse: bool) -> Bool[Array, "time"] | None:
    """Returns True for the steps that pass no gradient back: every `truncate_every`-th, counted from the first one."""
    if truncate_every is None:
        return None
    step = jnp.arange(num_steps)
    step = num_steps - 1 - step if reverse else step
    return (step % truncate_every == 0) & (step > 0)


def _reset_states(reset_to: Any, reset_index: Int[Array, "time *batch"] | None, zero: Any, reverse: bool) -> Any:
    """Returns the state to which each step's reset leads, or None for zero."""
    if reset_to is None or reset_index is None:
        return None
    if reverse:
        reset_index = jnp.concatenate([reset_index[1:], reset_index[:1]])
    return jax.tree.map(lambda table, like: table[reset_index].astype(like.dtype), reset_to, zero)


def _spread(recurrent_mask: Float[Array, "time_or_1 *batch hidden"] | None, num_steps: int) -> Array | None:
    """Repeats a mask that has one step for all steps."""
    if recurrent_mask is None:
        return None
    return jnp.broadcast_to(recurrent_mask, (num_steps, *recurrent_mask.shape[1:]))
