"""A call as cuDNN takes it: rows with their tokens first, in the direction of the pass."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recurrent.backends.cudnn.lstm import flat_weights, run_rows, settings_of
from recurrent.backends.cudnn.order import Order, order_of
from recurrent.call.axes import merge_axes, over_axes
from recurrent.call.call import Call
from recurrent.call.meshes import vary_like
from recurrent.call.padding import blank
from recurrent.call.prefix import write_prefix
from recurrent.call.steps import select
from recurrent.cells import lstm
from recurrent.cells.precision import cast

__all__ = ["run"]


def run(call: Call) -> tuple[Any, lstm.State]:
    """Returns the outputs and the final state of a call."""
    jax.eval_shape(call.cell.project, call.params, call.layout.x)  # raises an error if the input's size does not fit
    inputs, is_token = merge_axes((write_prefix(call.inputs, call.prefix), call.is_token), call.num_batch_axes)
    order = None if is_token is None else order_of(is_token, call.reverse)
    inputs = _make_inputs(call, _arrange(inputs, order, call.reverse), order)
    initial = vary_like(_initial(call), inputs)
    lengths = vary_like(jnp.full(len(inputs), call.layout.num_steps, jnp.int32), inputs)
    if order is not None:
        lengths = jnp.maximum(order.length, 1)  # a row without tokens is computed and left out below
    arguments = inputs, *initial, flat_weights(call.params), lengths
    outputs, *final = run_rows(settings_of(call.params), *arguments)
    state = lstm.State(*final)
    if order is not None:
        state = select(order.length[:, None] > 0, state, initial)
    outputs = _restore(outputs, order, call.reverse) if call.keeps_outputs else None
    return jax.tree.map(
        lambda leaf: leaf.reshape(*call.layout.batch, *leaf.shape[1:]), (cast(outputs, call.dtype), state)
    )


def _arrange(inputs: Any, order: Order | None, reverse: bool) -> Any:
    if order is not None:
        return order.arrange(inputs)
    return jax.tree.map(lambda leaf: jnp.flip(leaf, 1), inputs) if reverse else inputs


def _restore(
    outputs: Float[Array, "rows time hidden"], order: Order | None, reverse: bool
) -> Float[Array, "rows time hidden"]:
    if order is not None:
        return order.restore(outputs)
    return jnp.flip(outputs, 1) if reverse else outputs


def _make_inputs(call: Call, inputs: Any, order: Order | None) -> Float[Array, "rows time input"]:
    """Returns the cell's inputs of all steps, in the order of the pass."""
    if order is not None:
        inputs = jax.vmap(blank)(inputs, order.is_token)
    if call.make_inputs is not None:
        inputs = over_axes(partial(call.make_inputs, call.constants), 2)(inputs)
    return inputs.astype(jnp.float32)


def _initial(call: Call) -> lstm.State:
    if call.initial is not None:
        return merge_axes(call.initial, call.num_batch_axes)
    shape = math.prod(call.layout.batch), call.params.recurrent_kernel.shape[0]
    return lstm.State(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.float32))
