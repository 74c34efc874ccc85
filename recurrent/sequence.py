"""One cell over one sequence: the recurrence's `lax.scan`, and what masks, starts and directions mean.

This is the reference. Every other way to run a cell computes these numbers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Int, PyTree

from recurrent.call.arguments import (
    as_array,
    as_arrays,
    as_params,
    check_mask,
    check_options,
    check_recurrent_mask,
    check_resets,
    fit,
    layout,
)
from recurrent.call.closure import Hoisted, hoist_step, over_axes
from recurrent.call.compiled import call_compiled
from recurrent.call.meshes import vary_alike, vary_like
from recurrent.call.steps import (
    Carry,
    Steps,
    advance,
    blank,
    cast,
    cuts,
    output_like,
    reset_states,
    resets,
    scan_segments,
    spread,
)
from recurrent.cells.protocol import Cell, Params, State
from recurrent.shapes import Mask

__all__ = ["scan_cell", "scan_one"]


def scan_cell(
    cell: Cell[Params, State],
    params: Params,
    inputs: PyTree[Float[Array, "time ..."]],
    *,
    is_token: Mask | None = None,
    is_start: Mask | None = None,
    initial: State | None = None,
    reset_to: State | None = None,
    reset_index: Int[Array, "time"] | None = None,
    recurrent_mask: Float[Array, "time_or_1 hidden"] | None = None,
    reverse: bool = False,
    segment_size: int | None = None,
    truncate_every: int | None = None,
    make_inputs: Callable[[Any], Any] | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[PyTree[Float[Array, "time ..."]], State]:
    """Runs a cell over one sequence and returns the outputs of all steps and the final state.

    Masks are given in forward time, also when `reverse=True`.

    Args:
        inputs: [time, input], or what the cell takes; time may be 0. Batches are `run`'s.
        is_token: [time], True where a step counts. Other steps hold the state and repeat the last output (zero where
            there is none yet, as in Keras); whatever their input holds, NaN too, touches neither values nor gradients:
            the cell, and `make_inputs`, are given the input of the sequence's first step with a token in its place.
        is_start: [time], True where a new sequence begins: the state before that step is replaced, token or not. A
            reversed pass replaces it after that step, and leaves the final state as it is after the first one.
        initial: the state before the first step (before the last one in a reversed pass); zero by default.
        reset_to: the states that starts lead to, with a leading axis that `reset_index` points into; zero by default.
        reset_index: [time], which of them; asked for only where `is_start` is True.
        recurrent_mask: [time, hidden], or [1, hidden] for all steps: multiplies the hidden state that the cell's
            `recur` sees and nothing else. Recurrent dropout, with a mask of `regularize.variational_mask`.
        reverse: goes from the last step to the first; outputs stay aligned to the inputs' time.
        segment_size: keeps the residuals of one segment at a time and computes the others again in the backward pass:
            the same gradients, in memory for time / segment_size + segment_size steps.
        truncate_every: lets no gradient pass from a step to the one before it every so many steps, counted from the
            beginning of the pass (truncated backpropagation through time, Williams & Peng 1990).
        make_inputs: makes the cell's inputs from a segment of `inputs`, [steps, ...], each step by itself, such as an
            embedding lookup; with `segment_size` they never exist whole.
        dtype: of the outputs; the inputs' by default. Matmuls are computed in the params' dtype, and the state is kept
            in at least float32.

    Raises:
        ValueError: a shape or dtype does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> outputs, final = recurrent.scan_cell(recurrent.lstm, params, jnp.ones((5, 3)))
    >>> outputs.shape, final.memory.shape
    ((5, 4), (4,))
    """
    inputs, params = as_arrays("inputs", inputs), as_params(cell, params)
    is_token, is_start, reset_index, recurrent_mask = (
        as_array(name, value)
        for name, value in (
            ("is_token", is_token),
            ("is_start", is_start),
            ("reset_index", reset_index),
            ("recurrent_mask", recurrent_mask),
        )
    )
    batch, num_steps, x = layout(inputs, make_inputs)
    if batch:
        raise ValueError(f"scan_cell takes one sequence [time, input], not batch axes {batch}; `run` takes batches.")
    check_options(segment_size, truncate_every, reverse, dtype)
    for name, mask in (("is_token", is_token), ("is_start", is_start)):
        check_mask(name, mask, (num_steps,))
    zero = cell.zero_state(params)
    check_resets(is_start, reset_to, reset_index, (num_steps,), zero)
    check_recurrent_mask(recurrent_mask, (num_steps,), zero)
    hoisted, constants = None, []
    if make_inputs is not None:
        step = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), inputs)
        hoisted, constants = hoist_step(make_inputs, step)
    arrays = {
        "params": params,
        "inputs": inputs,
        "is_token": is_token,
        "is_start": is_start,
        "initial": None if initial is None else fit("initial", initial, zero),
        "reset_to": reset_to,
        "reset_index": reset_index,
        "recurrent_mask": recurrent_mask,
        "constants": constants,
    }
    return call_compiled(
        scan_one,
        cell,
        x,
        vary_alike(arrays),
        make_inputs=hoisted,
        reverse=reverse,
        segment_size=segment_size,
        truncate_every=truncate_every,
        dtype=jnp.dtype(dtype or jax.tree.leaves(x)[0].dtype),
    )


def scan_one(
    cell: Cell[Params, State],
    *,
    params: Params,
    inputs: PyTree[Array],
    is_token: Mask | None,
    is_start: Mask | None,
    initial: State | None,
    reset_to: State | None,
    reset_index: Int[Array, "time"] | None,
    recurrent_mask: Float[Array, "time_or_1 hidden"] | None,
    constants: list[Array],
    make_inputs: Hoisted | None,
    reverse: bool,
    segment_size: int | None,
    truncate_every: int | None,
    dtype: jnp.dtype,
) -> tuple[PyTree[Float[Array, "time ..."]], State]:
    """Computes what `scan_cell` returns, from arguments that were checked.

    Args:
        make_inputs: of one step, with the arrays it closes over in `constants`.
    """
    num_steps = jax.tree.leaves(inputs)[0].shape[0]
    make = _as_given if make_inputs is None else over_axes(partial(make_inputs, constants), 1)
    zero = vary_like(cell.zero_state(params), params)
    held = None
    if is_token is not None:
        inputs = blank(inputs, is_token)
        step = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), inputs)
        x = step if make_inputs is None else jax.eval_shape(make_inputs, constants, step)
        held = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), output_like(cell, params, x))
    steps = Steps(
        inputs=inputs,
        is_token=is_token,
        is_reset=None if is_start is None else resets(is_start, reverse),
        reset_state=reset_states(reset_to, reset_index, zero, reverse),
        is_cut=cuts(num_steps, truncate_every, reverse),
        recurrent_mask=spread(recurrent_mask, num_steps),
    )
    carry = Carry(zero if initial is None else initial, vary_like(held, params))
    scan_segment = partial(_scan_segment, cell, reverse, dtype, make, params)
    if segment_size is None:
        carry, outputs = scan_segment(carry, steps)
    else:
        carry, outputs = scan_segments(
            jax.checkpoint(scan_segment, prevent_cse=False), carry, steps, min(segment_size, max(num_steps, 1)), reverse
        )
    return outputs, carry.state


def _as_given(inputs: Any) -> Any:
    return inputs


def _scan_segment(
    cell: Cell, reverse: bool, dtype: jnp.dtype, make_inputs: Any, params: Any, carry: Carry, steps: Steps
) -> tuple[Carry, PyTree[Array]]:
    """Projects a run of inputs in one matmul, then advances step by step."""
    projected = jax.vmap(partial(cell.project, params))(make_inputs(steps.inputs))

    def take(carry: Carry, at: tuple[Steps, Any]) -> tuple[Carry, PyTree[Array]]:
        carry, output = advance(cell, params, carry, *at)
        return carry, cast(output, dtype)

    return jax.lax.scan(take, carry, (steps._replace(inputs=None), projected), reverse=reverse)
