"""A cell over packed rows: it begins anew where a sequence does, and gives each sequence's own final state."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, PyTree

from recurrent.batch import run
from recurrent.call.arguments import as_array, as_arrays, as_params, check_recurrent_mask, fit
from recurrent.call.meshes import on_auto_axes
from recurrent.call.steps import cast, select
from recurrent.cells.protocol import Cell, Params, State
from recurrent.cells.wrapped import Wrapped
from recurrent.packing.plan import AnyArray, Packing
from recurrent.packing.rows import first_columns, look_up

__all__ = ["run_packed"]


def run_packed(
    cell: Cell[Params, State],
    params: Params,
    inputs: PyTree[Float[Array, "rows time _"]],
    packing: Packing,
    *,
    initial: State | None = None,
    recurrent_mask: Float[Array, "sequences 1 hidden"] | None = None,
    segment_size: int | None = None,
    dtype: DTypeLike | None = None,
    backend: str = "auto",
    reverse: bool = False,
) -> tuple[PyTree[Float[Array, "rows time _"]], State]:
    """Runs a cell over packed sequences and returns the outputs of all steps and each sequence's own final state.

    Args:
        inputs: [rows, time, input], as `pack_inputs` makes them. Where there is no step, their values don't matter.
        initial: each sequence's state before its first step (before its last one in a reversed pass), arrays
            [sequences, hidden]; zero by default. It is also the final state of a sequence without steps.
        recurrent_mask: [sequences, 1, hidden], of `run`'s meaning: one for all steps of a sequence.
        segment_size: as in `run`, as are dtype, backend and reverse.

    Returns:
        outputs: [rows, time, hidden]; where there is no step they mean nothing.
        final: arrays [sequences, hidden], the state after the sequence's last step (its first one if `reverse`).

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
    inputs, params = as_arrays("inputs", inputs), as_params(cell, params)
    options = {"segment_size": segment_size, "dtype": dtype, "backend": backend, "reverse": reverse}
    # The states of sequences lie on no axis of the mesh that rows may lie on.
    run_rows = partial(_run_packed, cell, options)
    return on_auto_axes(run_rows, (1, 0), inputs, params, packing, initial, as_array("recurrent_mask", recurrent_mask))


def _run_packed(
    cell: Any, options: dict[str, Any], inputs: Any, params: Any, packing: Packing, initial: Any, recurrent_mask: Any
) -> tuple[Any, Any]:
    zero: Any = cell.zero_state(params)
    resets = {}
    if initial is not None:
        initial = fit("initial", initial, zero, packing.length.shape)
        resets = _resets(packing, initial, options["reverse"])
    exact = jax.tree.leaves(zero)[0].dtype  # not the outputs' dtype: the states among them are not to be rounded
    (outputs, states), _ = run(
        _WithState(cell),
        params,
        inputs,
        is_token=jnp.asarray(packing.is_token),
        is_start=jnp.asarray(packing.is_start),
        recurrent_mask=_spread_mask(packing, recurrent_mask, zero),
        **{**options, "dtype": exact},
        **resets,
    )
    has_steps = packing.length > 0
    end = first_columns(packing) if options["reverse"] else packing.last
    final = jax.tree.map(lambda leaf: look_up(leaf, has_steps, packing.row, end), states)
    if initial is None:
        initial = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(has_steps), *leaf.shape)), zero)
    outputs = cast(outputs, jnp.dtype(options["dtype"] or jax.tree.leaves(inputs)[0].dtype))
    return outputs, jax.vmap(select)(jnp.asarray(has_steps), final, initial)


class _WithState(Wrapped):
    """Any cell, but its output holds the new state too, so that it can be taken where a sequence ends."""

    def update(self, params: Any, state: Any, projected: Any, recurrent: Any) -> tuple[Any, Any]:
        state, output = self.cell.update(params, state, projected, recurrent)
        return state, (output, state)


def _resets(packing: Packing, initial: Any, reverse: bool) -> dict[str, Any]:
    """Says which states `run` has to set out from: in each row, and at each start."""
    if len(packing.length) == 0:
        return {}
    sequence = jnp.asarray(packing.sequence)
    if not reverse:
        return {"reset_to": initial, "reset_index": sequence}
    # Backwards, a start hands over to the sequence on its left, and a row sets out from the state of its last one.
    num_tokens = jnp.sum(packing.is_token, axis=1, keepdims=True, dtype=sequence.dtype)
    last_sequence = jnp.take_along_axis(sequence, jnp.maximum(num_tokens - 1, 0), axis=1)[:, 0]
    of_rows = jax.tree.map(lambda leaf: leaf[last_sequence], initial)
    return {"initial": of_rows, "reset_to": initial, "reset_index": jnp.roll(sequence, 1, axis=1)}


def _spread_mask(packing: Packing, mask: AnyArray | None, zero: Any) -> Array | None:
    """Gives each step the mask of its sequence."""
    if mask is None:
        return None
    check_recurrent_mask(jnp.asarray(mask), (len(packing.length), 1), zero)
    return look_up(mask, packing.is_token, packing.sequence, jnp.zeros_like(packing.sequence))
