"""One cell over one sequence: the recurrence's `lax.scan`, with masks, starts and both directions.

This is the reference. All backends compute the same numbers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Int, PyTree

from recurrent.call.arguments import as_arrays, layout
from recurrent.call.axes import over_axes
from recurrent.call.call import Call, make_call
from recurrent.call.compiled import call_compiled
from recurrent.call.meshes import vary_like
from recurrent.call.segments import scan_segments
from recurrent.call.steps import Carry, Steps, advance, output_like
from recurrent.call.timeline import steps_of
from recurrent.cells.precision import cast
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
    """Runs a cell over one sequence; returns the outputs of all steps and the final state.

    A masked step (`is_token` False) holds the state and repeats the last output, which is zero before the first token,
    as in Keras, and from a masked start to the next token. Neither values nor gradients depend on its input, even if
    that is NaN: the cell and `make_inputs` receive the input of the sequence's first token in its place.

    Masks and starts are given in forward time, also with `reverse`.

    Args:
        cell: a module such as `recurrent.lstm`, or any other `Cell`.
        params: the cell's params, from its `init`.
        inputs: ``[time, input]``, or a tree of arrays ``[time, ...]`` if the cell takes one. Time may be 0.
        is_token: ``[time]``, False at masked steps; by default no step is masked.
        is_start: ``[time]``, True at the first step of a sequence. The state is reset before that step, masked or not.
            With `reverse` it is reset after that step, unless that is the last step of the pass.
        initial: the state before the first step of the pass; zero by default.
        reset_to: a table of states with one leading axis; resets lead to its rows. By default they lead to zero.
        reset_index: ``[time]``, the row of `reset_to` for each reset; other steps ignore it.
        recurrent_mask: ``[time, hidden]``, or ``[1, hidden]`` for all steps. It multiplies the hidden state that the
            cell's `recur` takes, and nothing else. `regularize.variational_mask` draws one for recurrent dropout.
        reverse: runs from the last step to the first; outputs stay aligned with the inputs.
        segment_size: stores the residuals of one segment of so many steps at a time, and computes those of the others
            again in the backward pass. Gradients are the same; memory is proportional to
            ``time / segment_size + segment_size`` instead of ``time``.
        truncate_every: stops gradients between steps every so many steps, counted from the beginning of the pass
            (truncated backpropagation through time, Williams & Peng 1990).
        make_inputs: a pure function from `inputs` to the cell's inputs, ``[..., input]``, such as an embedding lookup.
            It computes each step from that step alone, whatever the number of axes in front: it is also called with
            one step and with a segment. With `segment_size` the cell's inputs exist for one segment at a time.
        dtype: the dtype of the outputs; the inputs' by default. Matmuls are computed in the params' dtype, and the
            state has at least float32.

    Raises:
        ValueError: a shape or dtype does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> outputs, final = recurrent.scan_cell(recurrent.lstm, params, jnp.ones((5, 3)))
    >>> outputs.shape, final.memory.shape
    ((5, 4), (4,))
    """
    inputs = as_arrays("inputs", inputs)
    if batch := layout(inputs, make_inputs).batch:
        raise ValueError(f"scan_cell takes one sequence [time, input], not batch axes {batch}; `run` takes batches.")
    call = make_call(
        cell,
        params,
        inputs,
        is_token=is_token,
        is_start=is_start,
        initial=initial,
        reset_to=reset_to,
        reset_index=reset_index,
        recurrent_mask=recurrent_mask,
        reverse=reverse,
        segment_size=segment_size,
        truncate_every=truncate_every,
        make_inputs=make_inputs,
        dtype=dtype,
    )
    return call_compiled(scan_one, call)


def scan_one(call: Call) -> tuple[PyTree[Float[Array, "time ..."]], Any]:
    """Computes a call of one sequence, without batch axes and prefix."""
    cell, params, num_steps = call.cell, call.params, call.layout.num_steps
    zero = vary_like(cell.zero_state(params), params)
    held = None
    if call.is_token is not None:
        like = output_like(cell, params, call.layout.x)
        held = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    carry = Carry(zero if call.initial is None else call.initial, vary_like(held, params))
    steps = steps_of(call, zero, num_steps)
    scan_segment = partial(_scan_segment, call)
    if call.segment_size is None:
        carry, outputs = scan_segment(carry, steps)
    else:
        # A segment's residuals are recomputed in the backward pass, so that only one segment's exist at a time.
        scan_segment, size = jax.checkpoint(scan_segment, prevent_cse=False), min(call.segment_size, max(num_steps, 1))
        carry, outputs = scan_segments(scan_segment, carry, steps, size, call.reverse)
    return outputs, carry.state


def _scan_segment(call: Call, carry: Carry, steps: Steps) -> tuple[Carry, PyTree[Array]]:
    """Projects a segment's inputs in one matmul, then advances step by step."""
    cell, params, inputs = call.cell, call.params, steps.inputs
    if call.make_inputs is not None:
        inputs = over_axes(partial(call.make_inputs, call.constants), 1)(inputs)
    projected = jax.vmap(partial(cell.project, params))(inputs)

    def take(carry: Carry, at: tuple[Steps, Any]) -> tuple[Carry, PyTree[Array]]:
        carry, output = advance(cell, params, carry, *at)
        return carry, cast(output, call.dtype)

    return jax.lax.scan(take, carry, (steps._replace(inputs=None), projected), reverse=call.reverse)
