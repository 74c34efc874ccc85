"""What Flax' RNN layers do around a cell, computed by `run`: lengths, order, time-major arrays, Flax' carries."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int

from recurrent.batch import run
from recurrent.call.arguments import as_integers
from recurrent.cells import lstm
from recurrent.cells.precision import cast
from recurrent.cells.protocol import Cell

__all__ = ["run_rnn", "warn_of_flax"]


def run_rnn(
    cell: Cell,
    params: Any,
    inputs: Float[Array, "..."],
    *,
    initial_carry: Any = None,
    seq_lengths: Int[Array, "*batch"] | None = None,
    is_start: Bool[Array, "*batch time"] | None = None,
    time_major: bool = False,
    reverse: bool = False,
    keep_order: bool = False,
    dtype: DTypeLike | None = None,
    backend: str = "auto",
) -> tuple[Any, Float[Array, "..."]]:
    """Returns the final carry and the outputs, as Flax' RNN orders them.

    Args:
        cell: a cell of the catalogue.
        params: the cell's params.
        inputs: ``[*batch, time, input]``, or ``[time, *batch, input]``.
        initial_carry: Flax' carry, or None for zero.
        seq_lengths: as in Flax' RNN, like the flags.
        is_start: as in `run`; time is its last axis.
        time_major: whether time is the first axis of inputs and outputs.
        reverse: runs from each sequence's last step to its first.
        keep_order: with `reverse`, leaves the outputs aligned with the inputs.
        dtype: the dtype of matmuls and outputs; by default the one that inputs and params promote to.
        backend: as in `run`.

    Raises:
        ValueError: a shape does not fit.
    """
    size = params.input_kernel.shape[0]
    if inputs.shape[-1] != size:
        raise ValueError(f"inputs have {inputs.shape[-1]} features, but the cell's params are for {size}.")
    inputs = jnp.moveaxis(inputs, 0, -2) if time_major else inputs
    is_token = None if seq_lengths is None else mask_of(seq_lengths, inputs.shape[:-1])
    if dtype is None:
        dtype = jnp.result_type(inputs, *jax.tree.leaves(params))
    outputs, state = run(
        cell,
        cast(params, dtype),
        inputs.astype(dtype),
        is_token=is_token,
        is_start=is_start,
        initial=None if initial_carry is None else as_state(cell, initial_carry),
        reverse=reverse,
        backend=backend,
    )
    if reverse and not keep_order:
        outputs = flip(outputs, is_token)
    return as_carry(cell, state), jnp.moveaxis(outputs, -2, 0) if time_major else outputs


def mask_of(lengths: Int[Array, "*batch"], steps: tuple[int, ...]) -> Bool[Array, "*batch time"]:
    """Returns which steps are within the lengths.

    Raises:
        ValueError: there is not one integer for each sequence.
    """
    lengths = as_integers("seq_lengths", lengths)
    if lengths.shape != steps[:-1]:
        raise ValueError(f"seq_lengths must have shape {steps[:-1]}, one for each sequence, not {lengths.shape}.")
    at = jnp.arange(steps[-1]).reshape((1,) * lengths.ndim + (-1,))
    return at < lengths.astype(at.dtype)[..., None]


def flip(outputs: Float[Array, "*batch time _"], is_token: Bool[Array, "*batch time"] | None) -> Array:
    """Reverses each sequence's steps; padding stays at the end."""
    if is_token is None or is_token.shape[-1] == 0:
        return jnp.flip(outputs, axis=-2)
    num_steps = is_token.shape[-1]
    at = jnp.broadcast_to(jnp.arange(num_steps - 1, -1, -1), is_token.shape)
    index = (at + jnp.sum(is_token, axis=-1, keepdims=True, dtype=at.dtype)) % num_steps
    return jnp.take_along_axis(outputs, index[..., None], axis=-2)


def as_state(cell: Any, carry: Any) -> Any:
    """Returns a cell's state for Flax' carry: (memory, hidden) of an LSTM, the hidden state of other cells."""
    if cell is not lstm:
        return cell.State(carry)
    memory, hidden = carry
    return lstm.State(hidden=hidden, memory=memory)


def as_carry(cell: Any, state: Any) -> Any:
    """Returns Flax' carry for a cell's state; the inverse of `as_state`."""
    return (state.memory, state.hidden) if cell is lstm else state.hidden


def warn_of_flax(layer: str, reason: str) -> None:
    """Warns that Flax computes a call; Python shows a warning once for each place in a program."""
    warnings.warn(
        f"{layer}: Flax' own code computes this call, with its faults at length 0 and at padding, since {reason}.",
        stacklevel=4,
    )
