"""A cell over packed rows: the state is reset at each start, and each sequence has a final state of its own."""

from functools import partial
from typing import Any, Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from recurrent.batch import run
from recurrent.call.arguments import as_array, as_arrays, as_params, fit, layout
from recurrent.call.checks import check_recurrent_mask
from recurrent.call.meshes import on_auto_axes
from recurrent.call.options import PackedOptions, refuse_unknown
from recurrent.call.steps import select
from recurrent.cells.precision import cast
from recurrent.cells.protocol import Cell, Params, State
from recurrent.cells.with_state import WithState
from recurrent.packing.plan import Packing
from recurrent.packing.rows import first_columns, look_up

__all__ = ["run_packed"]


def run_packed(
    cell: Cell[Params, State],
    params: Params,
    inputs: PyTree[Float[Array, "rows time _"]],
    packing: Packing,
    **options: Unpack[PackedOptions],
) -> tuple[PyTree[Float[Array, "rows time _"]], State]:
    """Runs a cell over packed sequences; returns the outputs of all steps and the final state of each sequence.

    Args:
        cell: a module such as `recurrent.lstm`, or any other `Cell`.
        params: the cell's params, from its `init`.
        inputs: ``[rows, time, input]``, from `pack_inputs`, or a tree of arrays. Values where there is no step are
            ignored.
        packing: from `pack`.
        initial: the state of each sequence before its first step (with `reverse`, before its last), arrays
            ``[sequences, hidden]``; zero by default. It is the final state of a sequence without steps.
        recurrent_mask: ``[sequences, 1, hidden]``, one mask for all steps of a sequence; see `run`.
        segment_size: as in `run`, like `make_inputs`, `dtype`, `backend` and `reverse`.

    Returns:
        The outputs ``[rows, time, hidden]``, undefined where there is no step; and the final states, arrays
        ``[sequences, hidden]``.

    Raises:
        ValueError: a shape or dtype does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> packing = recurrent.pack([2, 5, 3], row_length=6)
    >>> inputs = recurrent.packing.pack_inputs(packing, jnp.ones((3, 5, 3)))
    >>> outputs, final = recurrent.run_packed(recurrent.lstm, params, inputs, packing)
    >>> outputs.shape, final.memory.shape
    ((2, 6, 4), (3, 4))
    """
    refuse_unknown("run_packed", options, PackedOptions)
    inputs, params = as_arrays("inputs", inputs), as_params(cell, params)
    initial, mask = options.pop("initial", None), as_array("recurrent_mask", options.pop("recurrent_mask", None))
    zero: Any = jax.eval_shape(cell.zero_state, params)
    exact = jax.tree.leaves(zero)[0].dtype  # the outputs contain the states, which must not be rounded
    of_rows: dict[str, Any] = {**options, "dtype": exact}
    # The axes of rows are sharded as the inputs are, and those of sequences are not.
    if initial is not None:
        initial = fit("initial", initial, zero, packing.length.shape)
        of_rows |= _resets(inputs, packing, initial, options.get("reverse", False))
    if mask is not None:
        check_recurrent_mask(mask, (len(packing.length), 1), zero)
        of_rows["recurrent_mask"] = on_auto_axes(_spread_mask, 1, inputs, packing, mask)
    (outputs, states), _ = run(
        WithState(cell),
        params,
        inputs,
        is_token=jnp.asarray(packing.is_token),
        is_start=jnp.asarray(packing.is_start),
        **of_rows,
    )
    take_final = partial(_take_final, cell, options.get("reverse", False))
    final = on_auto_axes(take_final, 0, states, params, packing, initial)
    made = layout(inputs, options.get("make_inputs")).x
    return cast(outputs, options.get("dtype") or jax.tree.leaves(made)[0].dtype), final


def _take_final(cell: Any, reverse: bool, states: Any, params: Any, packing: Packing, initial: Any) -> Any:
    """Returns the state of each sequence after its last step; the initial one where it has no steps."""
    has_steps = packing.length > 0
    end = first_columns(packing) if reverse else packing.last
    final = jax.tree.map(lambda leaf: look_up(leaf, has_steps, packing.row, end), states)
    if initial is None:
        zero = cell.zero_state(params)
        initial = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(has_steps), *leaf.shape)), zero)
    return jax.vmap(select)(jnp.asarray(has_steps), final, initial)


def _resets(inputs: Any, packing: Packing, initial: Any, reverse: bool) -> dict[str, Any]:
    """Returns the options of `run` that begin each sequence with its own initial state."""
    if len(packing.length) == 0:
        return {}
    if not reverse:
        return {"reset_to": initial, "reset_index": jnp.asarray(packing.sequence)}
    of_rows, index = on_auto_axes(_reversed_resets, 1, inputs, packing, initial)
    return {"initial": of_rows, "reset_to": initial, "reset_index": index}


def _reversed_resets(inputs: Any, packing: Packing, initial: Any) -> tuple[Any, Array]:
    """Returns the state with which a row begins, that of its last sequence, and the row of `initial` of each reset.

    In reverse, the reset after a start leads to the sequence on its left.
    """
    sequence = jnp.asarray(packing.sequence)
    num_tokens = jnp.sum(packing.is_token, axis=1, keepdims=True, dtype=sequence.dtype)
    last_sequence = jnp.take_along_axis(sequence, jnp.maximum(num_tokens - 1, 0), axis=1)[:, 0]
    return jax.tree.map(lambda leaf: leaf[last_sequence], initial), jnp.roll(sequence, 1, axis=1)


def _spread_mask(inputs: Any, packing: Packing, mask: Array) -> Array:
    """Returns the mask of each step's sequence."""
    return look_up(mask, packing.is_token, packing.sequence, jnp.zeros_like(packing.sequence))
