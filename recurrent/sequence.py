"""One cell over one sequence: the recurrence's `lax.scan`, and what masks, starts and directions mean.

This is the reference. Every other way to run a cell computes these numbers.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike

from recurrent.cells.protocol import Cell, Params, State
from recurrent.shapes import Inputs, Mask, Outputs

__all__ = ["scan_cell"]


class _Steps(NamedTuple):
    """What each step of the sequence is given; a mask that was not given is None and costs nothing."""

    inputs: Inputs
    is_token: Mask | None
    is_reset: Mask | None


class _Carry(NamedTuple):
    """What goes from step to step; `held` is the last output, kept only where a mask may ask for it again."""

    state: Any
    held: Array | None


def scan_cell(
    cell: Cell[Params, State],
    params: Params,
    inputs: Inputs,
    *,
    is_token: Mask | None = None,
    is_start: Mask | None = None,
    initial: State | None = None,
    reverse: bool = False,
    segment_size: int | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[Outputs, State]:
    """Runs a cell over one sequence and returns the outputs of all steps and the final state.

    Masks are given in forward time, also when `reverse=True`.

    Args:
        inputs: [time, input]; time may be 0. Batches are `run`'s.
        is_token: [time], True where a step counts. Other steps hold the state and repeat the last output (zero where
            there is none yet, as in Keras); whatever their input holds, NaN too, touches neither values nor gradients.
        is_start: [time], True where a new sequence begins: the state before that step is zero, token or not. A reversed
            pass resets after that step.
        initial: the state before the first step (before the last one in a reversed pass); zero by default.
        reverse: goes from the last step to the first; outputs stay aligned to the inputs' time.
        segment_size: keeps the residuals of one segment at a time and computes the others again in the backward pass:
            the same gradients, in memory for time / segment_size + segment_size steps.
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
    _check(inputs, is_token, is_start, segment_size)
    carry = _first_carry(cell, params, inputs, initial, holds=is_token is not None)
    if is_token is not None:
        # Before `project`, not after: a NaN that is only masked out of the values would come back in the gradients.
        inputs = jnp.where(is_token[:, None], inputs, jnp.zeros_like(inputs))
    steps = _Steps(inputs, is_token, None if is_start is None else _resets(is_start, reverse))
    scan_segment = partial(_scan_segment, cell, reverse, jnp.dtype(dtype or inputs.dtype), params)
    if segment_size is None:
        carry, outputs = scan_segment(carry, steps)
    else:
        carry, outputs = _scan_segments(scan_segment, carry, steps, min(segment_size, max(len(inputs), 1)), reverse)
    return outputs, carry.state


def _scan_segment(
    cell: Cell, reverse: bool, dtype: jnp.dtype, params: Any, carry: _Carry, steps: _Steps
) -> tuple[_Carry, Outputs]:
    """Projects a run of inputs in one matmul, then advances step by step."""
    projected = jax.vmap(partial(cell.project, params))(steps.inputs)
    zero_state = cell.zero_state(params)

    def advance(carry: _Carry, at: tuple[_Steps, Any]) -> tuple[_Carry, Array]:
        step, projected = at
        if step.is_reset is not None:
            carry = _select(step.is_reset, _Carry(zero_state, jax.tree.map(jnp.zeros_like, carry.held)), carry)
        state, output = cell.update(params, carry.state, projected, cell.recur(params, carry.state))
        if step.is_token is not None:
            state, output = _select(step.is_token, (state, output), (carry.state, carry.held))
        return _Carry(state, None if step.is_token is None else output), output.astype(dtype)

    return jax.lax.scan(advance, carry, (steps, projected), reverse=reverse)


def _scan_segments(
    scan_segment: Any, carry: _Carry, steps: _Steps, segment_size: int, reverse: bool
) -> tuple[_Carry, Outputs]:
    """Scans over rematerialised segments; the steps that fill no whole segment are one short segment at the end."""
    length = len(steps.inputs)
    cut = length - length % segment_size
    whole = jax.tree.map(lambda leaf: leaf[:cut].reshape(-1, segment_size, *leaf.shape[1:]), steps)
    rest = jax.tree.map(lambda leaf: leaf[cut:], steps)
    # Inside a scan nothing can be merged with the forward pass, so the barrier against it would only cost time.
    rematerialised = jax.checkpoint(scan_segment, prevent_cse=False)
    rest_outputs = None
    if reverse and cut < length:
        carry, rest_outputs = jax.checkpoint(scan_segment)(carry, rest)
    carry, outputs = jax.lax.scan(rematerialised, carry, whole, reverse=reverse)
    outputs = outputs.reshape(cut, *outputs.shape[2:])
    if not reverse and cut < length:
        carry, rest_outputs = jax.checkpoint(scan_segment)(carry, rest)
    return carry, outputs if rest_outputs is None else jnp.concatenate([outputs, rest_outputs])


def _resets(is_start: Mask, reverse: bool) -> Mask:
    """Says before which step, in the order of the pass, the state is reset: backwards that is after a start."""
    return jnp.append(is_start, False)[1:] if reverse else is_start


def _select(condition: Bool[Array, ""], where_true: Any, where_false: Any) -> Any:
    return jax.tree.map(partial(jnp.where, condition), where_true, where_false)


def _first_carry(cell: Cell, params: Any, inputs: Inputs, initial: Any, holds: bool) -> _Carry:
    zero = cell.zero_state(params)
    state = zero if initial is None else _fit(initial, zero)
    if not holds:
        return _Carry(state, None)
    x = jax.ShapeDtypeStruct(inputs.shape[1:], inputs.dtype)
    _, output = jax.eval_shape(
        lambda x: cell.update(params, zero, cell.project(params, x), cell.recur(params, zero)), x
    )
    return _Carry(state, jnp.zeros(output.shape, output.dtype))


def _fit(initial: Any, zero: Any) -> Any:
    """Casts a given state to the dtypes that are carried; its structure and shapes must fit."""
    if jax.tree.structure(initial) != jax.tree.structure(zero):
        raise ValueError(f"initial must be built like {zero}, not like {initial}.")
    for given, expected in zip(jax.tree.leaves(initial), jax.tree.leaves(zero), strict=True):
        if jnp.shape(given) != expected.shape:
            raise ValueError(f"initial has an array of shape {jnp.shape(given)} where {expected.shape} is needed.")
    return jax.tree.map(lambda given, expected: jnp.asarray(given).astype(expected.dtype), initial, zero)


def _check(inputs: Array, is_token: Array | None, is_start: Array | None, segment_size: int | None) -> None:
    if inputs.ndim != 2:
        raise ValueError(f"scan_cell takes one sequence [time, input], not shape {inputs.shape}; `run` takes batches.")
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise ValueError(f"inputs must be floating point, not {inputs.dtype}: embed or cast them first.")
    for name, mask in (("is_token", is_token), ("is_start", is_start)):
        if mask is not None and (mask.shape != inputs.shape[:1] or mask.dtype != jnp.bool_):
            raise ValueError(f"{name} must be bool{list(inputs.shape[:1])}, not {mask.dtype}{list(mask.shape)}.")
    if segment_size is not None and segment_size < 1:
        raise ValueError(f"segment_size must be at least 1, not {segment_size}.")
