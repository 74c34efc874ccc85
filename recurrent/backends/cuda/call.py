"""A call as the kernels take it: one axis of rows, inputs that are projected, and a hidden size that a kernel has."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recurrent.backends.cuda.recurrence import Arrays, Masks, Settings, run_rows
from recurrent.backends.cuda.sizes import num_gates, padded
from recurrent.call.axes import merge_axes, over_axes
from recurrent.call.call import Call
from recurrent.call.padding import blank
from recurrent.call.prefix import write_prefix
from recurrent.cells import gru
from recurrent.cells.precision import cast, check_features

__all__ = ["run"]


def run(call: Call) -> tuple[Any, Any]:
    """Returns the outputs and the final state of a call."""
    merge = partial(merge_axes, num_axes=call.num_batch_axes)
    inputs = _make_inputs(call, merge(write_prefix(call.inputs, call.prefix)))
    check_features(inputs.shape[-1:], call.params.input_kernel.shape)
    hidden_size = len(call.params.recurrent_kernel)
    size = padded(hidden_size)
    params = _pad_params(call, size)
    bias = params.bias.reshape(-1, params.bias.shape[-1])
    resets = call.reset_to
    if resets is not None:
        index = merge(call.reset_index)
        resets = jax.tree.map(lambda table: table[index].astype(jnp.float32), resets)
    arrays = Arrays(
        projected=_project(inputs, params.input_kernel, bias[0]),
        recurrent_kernel=params.recurrent_kernel,
        recurrent_bias=bias[1] if call.cell is gru else None,
        initial=_pad_last(merge(call.initial), size),
        resets=_pad_last(resets, size),
    )
    settings = Settings(call.cell, bool(call.reverse), call.keeps_outputs)
    outputs, state = run_rows(settings, arrays, Masks(merge(call.is_token), merge(call.is_start)))
    outputs, state = jax.tree.map(
        lambda leaf: leaf[..., :hidden_size].reshape(*call.layout.batch, *leaf.shape[1:-1], hidden_size),
        (outputs, state),
    )
    return cast(outputs, call.dtype), state


def _make_inputs(call: Call, inputs: Any) -> Float[Array, "rows time input"]:
    """Returns the cell's inputs of all steps; those of masked steps are finite."""
    is_token = merge_axes(call.is_token, call.num_batch_axes)
    if call.make_inputs is not None:
        if is_token is not None:
            inputs = jax.vmap(blank)(inputs, is_token)
        inputs = over_axes(partial(call.make_inputs, call.constants), 2)(inputs)
    elif is_token is not None:
        inputs = jnp.where(is_token[..., None], inputs, jnp.zeros_like(inputs))
    return inputs.astype(jnp.float32)


def _project(
    inputs: Float[Array, "rows time input"], kernel: Float[Array, "input gates"], bias: Float[Array, "gates"]
) -> Float[Array, "rows time gates"]:
    """Computes x W + b of all steps."""
    projected = jax.lax.dot_general(inputs, kernel, (((2,), (0,)), ((), ())), preferred_element_type=jnp.float32)
    return projected + bias[None, None]


def _pad_params(call: Call, size: int) -> Any:
    """Returns the params of a cell with more units, which stay zero."""
    if len(call.params.recurrent_kernel) == size:
        return call.params

    def pad_columns(leaf: Array) -> Array:
        blocks = leaf.reshape(*leaf.shape[:-1], num_gates(call.cell), -1)
        return _pad_last(blocks, size).reshape(*leaf.shape[:-1], -1)

    params = jax.tree.map(pad_columns, call.params)
    kernel = params.recurrent_kernel
    return params._replace(recurrent_kernel=jnp.pad(kernel, ((0, size - len(kernel)), (0, 0))))


def _pad_last(tree: Any, size: int) -> Any:
    """Pads the last axis of arrays with zeros."""

    def pad(leaf: Array) -> Array:
        return jnp.pad(leaf, ((0, 0),) * (leaf.ndim - 1) + ((0, size - leaf.shape[-1]),))

    return jax.tree.map(pad, tree)
