"""The arrays that the two C++ functions take, in their order, and the call through XLA."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recurrent.backends.native.arrays import Arrays, Masks, Settings
from recurrent.backends.native.library import TARGETS
from recurrent.backends.native.lookup import MODES
from recurrent.backends.native.plan import KINDS, NUM_KEPT, num_states, padded
from recurrent.call.meshes import vary_like

__all__ = ["Operands", "call_function", "look_up", "num_residuals", "operands_of", "prefix_input_of"]


class Operands(NamedTuple):
    """The arrays of both C++ functions, in order; those that a call does not have are empty."""

    inputs: Array
    input_kernel: Array
    recurrent_kernel: Array
    bias: Array
    hidden: Array
    memory: Array
    is_token: Array
    is_reset: Array
    reset_index: Array
    reset_hidden: Array
    reset_memory: Array
    recurrent_mask: Array
    prefix_input: Array
    prefix_length: Array
    index: Array
    prefix_row: Array


def operands_of(settings: Settings, arrays: Arrays, masks: Masks) -> Operands:
    """Returns the arrays of a call, in the order of both functions."""
    params, dtype = arrays.params, arrays.inputs.dtype
    hidden_size, is_lstm = params.recurrent_kernel.shape[0], num_states(settings.cell) == 2
    no_state, no_mask = jnp.zeros((0, hidden_size), dtype), jnp.zeros((0, 1, hidden_size), dtype)
    hidden, memory = (*arrays.initial, no_state)[:2] if arrays.initial else (no_state, no_state)
    reset_hidden, reset_memory = (*arrays.reset_to, no_state)[:2] if arrays.reset_to else (no_state, no_state)
    is_reset, reset_index = masks.is_start, masks.reset_index
    if settings.reverse and is_reset is not None:  # in a reversed pass, resets follow the starts
        is_reset = jnp.concatenate([is_reset[:, 1:], jnp.zeros_like(is_reset[:, :1])], axis=1)
    if settings.reverse and reset_index is not None:
        reset_index = jnp.concatenate([reset_index[:, 1:], reset_index[:, :1]], axis=1)
    return Operands(
        inputs=arrays.inputs,
        input_kernel=params.input_kernel,
        recurrent_kernel=params.recurrent_kernel,
        bias=params.bias.reshape(-1, params.bias.shape[-1]),
        hidden=hidden,
        memory=memory if is_lstm else no_state,
        is_token=_or_none(masks.is_token, (0, 0), jnp.bool_),
        is_reset=_or_none(is_reset, (0, 0), jnp.bool_),
        reset_index=_or_none(reset_index, (0, 0), jnp.int32),
        reset_hidden=reset_hidden,
        reset_memory=reset_memory,
        recurrent_mask=no_mask if arrays.recurrent_mask is None else arrays.recurrent_mask,
        prefix_input=_or_none(prefix_input_of(settings, arrays, masks), (0,), dtype),
        prefix_length=_or_none(masks.prefix_length, (0,), jnp.int32),
        index=_or_none(masks.index, (0, 0), jnp.int32),
        prefix_row=_or_none(masks.prefix_row, (0,), jnp.int32),
    )


def _or_none(array: Array | None, shape: tuple[int, ...], dtype: Any) -> Array:
    return jnp.zeros(shape, dtype) if array is None else array.astype(dtype)


def call_function(
    function: str, settings: Settings, like: Any, operands: Any, aliases: Mapping[int, int] | None = None
) -> list[Array]:
    """Calls "forward" or "backward"; returns arrays like `like`. Aliased operands share their memory with a result."""
    call = jax.ffi.ffi_call(
        TARGETS[function], like, vmap_method="broadcast_all", input_output_aliases=dict(aliases or {})
    )
    results = call(
        *operands,
        cell=KINDS.index(settings.cell),
        reverse=int(settings.reverse),
        truncate_every=settings.truncate_every or 0,
        segment_size=settings.segment_size or 0,
        rounds=int(settings.dtype == jnp.bfloat16),
        mode=MODES.index(settings.mode),
    )
    return vary_like(results, operands)


def prefix_input_of(settings: Settings, arrays: Arrays, masks: Masks) -> Array | None:
    """Returns the input of the prefix, if there is one."""
    if masks.prefix_row is None:
        return arrays.prefix_input
    return look_up(settings, arrays, masks.prefix_row)[0]  # JAX reads a single row otherwise, with another gradient


def look_up(settings: Settings, arrays: Arrays, index: Int[Array, "*steps"]) -> Float[Array, "*steps input"]:
    """Returns rows of the table that the inputs are; the function has added the table's size to a negative index."""
    return arrays.inputs[0].at[index].get(mode=settings.mode, wrap_negative_indices=False)


def num_residuals(settings: Settings, arrays: Arrays, masks: Masks) -> int:
    """Returns the number of residuals, as `residuals_size` in `handlers.cc` computes it."""
    num_rows, num_steps = settings.num_rows + (masks.prefix_length is not None), settings.num_steps
    units = padded(arrays.params.recurrent_kernel.shape[0], arrays.inputs.dtype)
    if settings.segment_size is None:
        return num_rows * num_steps * NUM_KEPT[settings.cell] * units
    return num_rows * math.ceil(num_steps / settings.segment_size) * num_states(settings.cell) * units
