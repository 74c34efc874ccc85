"""One step of a sequence with all that may happen around a cell's own step: resets, cuts, noise, masks.

    enter: what is carried in        the state, or a new one where a sequence starts
    recur: the cell's own            sees the hidden state, times `recurrent_mask`
    leave: what is carried on        the cell's update, or the old state where there is no token

Every backend goes through these three, so that they differ in how they loop and in nothing else.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from recurrent.cells.protocol import Cell
from recurrent.cells.protocol import step as take_step

__all__ = ["Carry", "Steps", "advance", "enter", "leave", "recur", "select"]


class Steps(NamedTuple):
    """What each step is given, [time, ...] or one of them; what was not asked for is None and costs nothing."""

    inputs: PyTree[Array]
    is_token: Bool[Array, "*time"] | None = None
    is_reset: Bool[Array, "*time"] | None = None
    reset_state: Any = None  # the state that a reset leads to; zero where it is None
    is_cut: Bool[Array, "*time"] | None = None  # no gradient goes back past the beginning of this step
    recurrent_mask: Float[Array, "*time hidden"] | None = None


class Carry(NamedTuple):
    """What goes from step to step; `held` is the last output, kept only where a mask may ask for it again."""

    state: Any
    held: PyTree[Array]


def advance(cell: Cell, params: Any, carry: Carry, step: Steps, projected: Any) -> tuple[Carry, PyTree[Array]]:
    """Takes one step."""
    carry = enter(cell, params, carry, step)
    return leave(cell, params, carry, step, projected, recur(cell, params, carry, step.recurrent_mask))


def enter(cell: Cell, params: Any, carry: Carry, step: Steps) -> Carry:
    """Returns the carry in which the step is taken."""
    if step.is_cut is not None:
        carry = select(step.is_cut, jax.lax.stop_gradient(carry), carry)
    if step.is_reset is not None:
        state = cell.zero_state(params) if step.reset_state is None else step.reset_state
        carry = select(step.is_reset, Carry(state, jax.tree.map(jnp.zeros_like, carry.held)), carry)
    return carry


def forget(d_carry: Carry, step: Steps) -> Carry:
    """Pulls a cotangent back through `enter`: nothing passes a reset or a cut."""
    for is_stopped in (step.is_reset, step.is_cut):
        if is_stopped is not None:
            d_carry = select(is_stopped, jax.tree.map(jnp.zeros_like, d_carry), d_carry)
    return d_carry


def recur(cell: Cell, params: Any, carry: Carry, recurrent_mask: Float[Array, "hidden"] | None) -> Any:
    """Returns what the state contributes to the step, its hidden part under the mask."""
    state = carry.state
    if recurrent_mask is not None:
        state = state._replace(hidden=state.hidden * recurrent_mask.astype(state.hidden.dtype))
    return cell.recur(params, state)


def leave(
    cell: Cell, params: Any, carry: Carry, step: Steps, projected: Any, recurrent: Any
) -> tuple[Carry, PyTree[Array]]:
    """Returns what the step hands on, and its output."""
    state, output = cell.update(params, carry.state, projected, recurrent)
    if step.is_token is None:
        return Carry(state, None), output
    if carry.held is None:
        return Carry(select(step.is_token, state, carry.state), None), output
    state, output = select(step.is_token, (state, output), (carry.state, carry.held))
    return Carry(state, output), output


def select(condition: Bool[Array, ""], where_true: Any, where_false: Any) -> Any:
    """Selects between two trees of the same structure."""
    return jax.tree.map(partial(jnp.where, condition), where_true, where_false)


def resets(is_start: Bool[Array, "time *batch"], reverse: bool) -> Bool[Array, "time *batch"]:
    """Says before which step, in the order of the pass, the state is reset: backwards that is after a start."""
    if not reverse:
        return is_start
    return jnp.concatenate([is_start[1:], jnp.zeros_like(is_start[:1])])


def cuts(num_steps: int, truncate_every: int | None, reverse: bool) -> Bool[Array, "time"] | None:
    """Says before which steps no gradient goes back: every so many of them, counted from the beginning of the pass."""
    if truncate_every is None:
        return None
    step = jnp.arange(num_steps)
    step = num_steps - 1 - step if reverse else step
    return (step % truncate_every == 0) & (step > 0)


def reset_states(reset_to: Any, reset_index: Int[Array, "time *batch"] | None, zero: Any, reverse: bool) -> Any:
    """Looks up the state that each step's reset leads to."""
    if reset_to is None or reset_index is None:
        return None
    if reverse:
        reset_index = jnp.concatenate([reset_index[1:], reset_index[:1]])
    return jax.tree.map(lambda table, like: table[reset_index].astype(like.dtype), reset_to, zero)


def spread(recurrent_mask: Float[Array, "time_or_1 *batch hidden"] | None, num_steps: int) -> Array | None:
    """Repeats a mask for all steps where it was given once."""
    if recurrent_mask is None:
        return None
    return jnp.broadcast_to(recurrent_mask, (num_steps, *recurrent_mask.shape[1:]))


def blank(inputs: PyTree[Array], is_token: Bool[Array, "time *rows"]) -> PyTree[Array]:
    """Returns inputs with a harmless step, through which no gradient goes, wherever there is no token.

    That is the sequence's first step with a token: what makes a cell's inputs, such as a logarithm, has a finite value
    and derivative there, as it need not have at zero. In a sequence without tokens it is the first step as it was
    given, with zero for what is not finite. A NaN that was only masked out of the values would come back in gradients.
    """
    if is_token.shape[0] == 0:
        return inputs
    find = find_harmless
    for _ in is_token.shape[1:]:
        find = jax.vmap(find, in_axes=1)
    return fill(inputs, jax.lax.stop_gradient(find(inputs, is_token)), ~is_token)


def find_harmless(inputs: PyTree[Array], is_token: Bool[Array, "time"]) -> PyTree[Array]:
    """Returns the step of one sequence that stands in for its steps without a token."""
    first, has_token = jnp.argmax(is_token), jnp.any(is_token)

    def choose(leaf: Array) -> Array:
        step = jax.lax.dynamic_index_in_dim(leaf, first, keepdims=False)
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return step
        return jnp.where(has_token | jnp.isfinite(step), step, jnp.zeros_like(step))

    return jax.tree.map(choose, inputs)


def lend(
    inputs: PyTree[Array], constants: list[Array], is_token: Bool[Array, "*batch time"]
) -> tuple[PyTree[Array], list[Array]]:
    """Gives sequences without tokens the first token of another sequence, where `make_inputs` may have no value else.

    Integers, such as token ids, are left as they are: every one of them has a value. Where no sequence has a token, no
    gradient goes to the constants of `make_inputs` either.
    """
    if not any(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in jax.tree.leaves(inputs)) or is_token.size == 0:
        return inputs, constants
    rows = is_token.reshape(-1, is_token.shape[-1])
    has_token = jnp.any(rows, axis=1)
    lender = jnp.argmax(has_token)
    is_lent = jnp.any(has_token) & ~jnp.any(is_token, axis=-1, keepdims=True)

    def borrow(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        step = leaf.reshape(-1, *leaf.shape[is_token.ndim - 1 :])[lender, jnp.argmax(rows[lender])]
        return fill(leaf, jax.lax.stop_gradient(step), jnp.broadcast_to(is_lent, is_token.shape))

    def keep(constant: Array) -> Array:
        if not jnp.issubdtype(constant.dtype, jnp.inexact):
            return constant
        return jnp.where(jnp.any(has_token), constant, jax.lax.stop_gradient(constant))

    return jax.tree.map(borrow, inputs), list(map(keep, constants))


def fill(inputs: PyTree[Array], x: PyTree[Array], is_filled: Bool[Array, "*steps"]) -> PyTree[Array]:
    """Returns inputs with one step's `x` wherever `is_filled`."""

    def choose(leaf: Array, x: Array) -> Array:
        condition = is_filled.reshape(is_filled.shape + (1,) * (leaf.ndim - is_filled.ndim))
        return jnp.where(condition, jnp.broadcast_to(x.astype(leaf.dtype), leaf.shape), leaf)

    return jax.tree.map(choose, inputs, x)


def output_like(cell: Cell, params: Any, x: Any) -> PyTree[jax.ShapeDtypeStruct]:
    """Returns shape and dtype of a step's output, computing nothing."""
    return jax.eval_shape(lambda x: take_step(cell, params, cell.zero_state(params), x)[1], x)


def cast(output: PyTree[Array], dtype: jnp.dtype) -> PyTree[Array]:
    """Casts the floating arrays of an output."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, output)


def scan_segments(scan_segment: Any, carry: Any, steps: Any, segment_size: int, reverse: bool) -> tuple[Any, Any]:
    """Scans over segments; the steps that fill no whole segment are a short one at the end.

    Args:
        scan_segment: (carry, a segment's steps) -> (carry, the segment's outputs).
    """
    length = len(jax.tree.leaves(steps)[0])
    cut = length - length % segment_size
    whole = jax.tree.map(lambda leaf: leaf[:cut].reshape(-1, segment_size, *leaf.shape[1:]), steps)
    rest = jax.tree.map(lambda leaf: leaf[cut:], steps)
    if cut == length:
        carry, outputs = jax.lax.scan(scan_segment, carry, whole, reverse=reverse)
        return carry, _joined(outputs)
    if reverse:
        carry, rest_outputs = scan_segment(carry, rest)
        carry, outputs = jax.lax.scan(scan_segment, carry, whole, reverse=True)
    else:
        carry, outputs = jax.lax.scan(scan_segment, carry, whole)
        carry, rest_outputs = scan_segment(carry, rest)
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), _joined(outputs), rest_outputs)


def _joined(outputs: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs)
