"""A call and its derivatives: of first order in C++, of higher order by the plain backend."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recurrent.backends import plain
from recurrent.backends.native.arrays import Arrays, Masks, Settings, merge_batch
from recurrent.backends.native.long import is_long, run_in_parts
from recurrent.backends.native.lookup import find_lookup
from recurrent.backends.native.operands import (
    call_function,
    look_up,
    num_residuals,
    operands_of,
    prefix_input_of,
)
from recurrent.backends.native.plan import base_cell, num_states, padded, segment_size, shares_prefix
from recurrent.call.call import Call
from recurrent.call.prefix import Prefix, write_prefix
from recurrent.call.symbolic_zeros import instantiate, is_primal, values
from recurrent.cells.precision import cast, check_features
from recurrent.cells.with_state import WithState

__all__ = ["run"]


def run(call: Call) -> tuple[Any, Any]:
    """Returns the outputs and the final state of a call."""
    if not shares_prefix(call):
        call = call._replace(inputs=write_prefix(call.inputs, call.prefix), prefix=None)
    return run_in_parts(_run_whole, call) if is_long(call) else _run_whole(call)


def _run_whole(call: Call) -> tuple[Any, Any]:
    lookup, cell = find_lookup(call), base_cell(call.cell)
    returns_states = call.keeps_outputs and isinstance(call.cell, WithState)
    settings = Settings(
        cell=cell,
        reverse=bool(call.reverse),
        truncate_every=call.truncate_every,
        segment_size=segment_size(call),
        keeps_outputs=call.keeps_outputs,
        keeps_memories=returns_states and num_states(cell) == 2,
        num_rows=math.prod(call.layout.batch),
        num_steps=call.layout.num_steps,
        mode="clip" if lookup is None else lookup.mode,
        dtype=call.params.recurrent_kernel.dtype,
    )
    arrays, masks = merge_batch(call, lookup)
    check_features(arrays.inputs.shape[-1:], arrays.params.input_kernel.shape)
    (outputs, memories), state = _run(settings, arrays, masks)
    if returns_states:  # the output of these cells is their hidden state
        outputs = outputs, cell.State(*(each for each in (outputs, memories) if each is not None))
    batch = call.layout.batch
    outputs, state = jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), (outputs, state))
    return cast(outputs, call.dtype) if call.keeps_outputs else None, state


class _Outputs(NamedTuple):
    """Of all steps; None for what is not wanted."""

    hidden: Float[Array, "rows time hidden"] | None
    memory: Float[Array, "rows time hidden"] | None


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(settings: Settings, arrays: Arrays, masks: Masks) -> tuple[_Outputs, Any]:
    """Computes all steps of all rows."""
    outputs, state, _ = _forward(settings, False, arrays, masks)
    return outputs, state


def _keep(settings: Settings, arrays: Any, masks: Any) -> tuple[Any, Any]:
    has_gradient = any(leaf.perturbed for leaf in jax.tree.leaves(arrays.inputs, is_leaf=is_primal))
    arrays, masks = values((arrays, masks))
    outputs, state, residuals = _forward(settings, True, arrays, masks)
    # A length says whether the inputs have a gradient. The tree of what is kept must not say it: where a function is
    # differentiated with respect to several choices of its arguments, JAX may hand `_pull` the tree of another choice.
    flag = jnp.zeros(int(has_gradient))
    return (outputs, state), (arrays, masks, residuals, flag)


def _pull(settings: Settings, kept: Any, cotangents: Any) -> tuple[Any, Any]:
    arrays, masks, residuals, flag = kept
    d_outputs, d_state = instantiate(cotangents)
    wants_inputs = len(flag) > 0
    return _backward(settings, wants_inputs, arrays, masks, residuals, d_outputs, d_state), None


_run.defvjp(_keep, _pull, symbolic_zeros=True)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _forward(settings: Settings, keeps: bool, arrays: Arrays, masks: Masks) -> tuple[_Outputs, Any, Array]:
    """Returns the outputs, the final state and the residuals, which are empty unless `keeps`."""
    rows, num_steps = settings.num_rows, settings.num_steps
    hidden_size, dtype = arrays.params.recurrent_kernel.shape[0], arrays.inputs.dtype
    is_lstm = num_states(settings.cell) == 2
    like = (
        jax.ShapeDtypeStruct((rows if settings.keeps_outputs else 0, num_steps, hidden_size), dtype),
        jax.ShapeDtypeStruct((rows, hidden_size), dtype),
        jax.ShapeDtypeStruct((rows if is_lstm else 0, hidden_size), dtype),
        jax.ShapeDtypeStruct((num_residuals(settings, arrays, masks) if keeps else 0,), dtype),
        jax.ShapeDtypeStruct((rows if settings.keeps_memories else 0, num_steps, hidden_size), dtype),
    )
    given = operands_of(settings, arrays, masks)
    hidden, final_hidden, final_memory, residuals, memory = call_function("forward", settings, like, given)
    state = settings.cell.State(*(final_hidden, final_memory)[: num_states(settings.cell)])
    outputs = _Outputs(hidden if settings.keeps_outputs else None, memory if settings.keeps_memories else None)
    return outputs, state, residuals


@_forward.defjvp
def _push_forward(settings: Settings, keeps: bool, primals: Any, tangents: Any) -> tuple[Any, Any]:
    outputs, state, residuals = _forward(settings, keeps, *primals)
    # Residuals depend on the arguments, but `_push_backward` takes its derivatives with respect to those.
    reference = partial(_reference, settings, primals[1])
    _, (d_outputs, d_state) = jax.jvp(reference, primals[:1], tangents[:1])
    return (outputs, state, residuals), (d_outputs, d_state, jnp.zeros_like(residuals))


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _backward(
    settings: Settings,
    wants_inputs: bool,
    arrays: Arrays,
    masks: Masks,
    residuals: Array,
    d_outputs: _Outputs,
    d_state: Any,
) -> Arrays:
    """Returns the cotangents of `arrays`."""
    given, dtype = operands_of(settings, arrays, masks), arrays.inputs.dtype
    rows, num_steps, d_inputs = settings.num_rows, settings.num_steps, arrays.inputs
    num_slots = (rows + (masks.prefix_length is not None)) * num_steps
    are_kept = settings.segment_size is None  # residuals of all steps, over which C++ writes
    is_scattered = masks.index is not None and wants_inputs and not are_kept
    hidden_size = arrays.params.recurrent_kernel.shape[0]
    is_lstm = num_states(settings.cell) == 2
    none = jnp.zeros((0, num_steps, hidden_size), dtype)
    memory = d_state.memory if is_lstm else jnp.zeros((0, hidden_size), dtype)
    like = (
        jax.ShapeDtypeStruct((len(d_inputs) if wants_inputs else 0, *d_inputs.shape[1:]), dtype),
        *map(_like, arrays.params[:2]),
        jax.ShapeDtypeStruct(given.bias.shape, dtype),
        jax.ShapeDtypeStruct((rows, hidden_size), dtype),
        jax.ShapeDtypeStruct((rows if is_lstm else 0, hidden_size), dtype),
        *map(_like, (given.reset_hidden, given.reset_memory, given.recurrent_mask, given.prefix_input)),
        jax.ShapeDtypeStruct((num_slots if is_scattered else 0, padded(d_inputs.shape[-1], dtype)), dtype),  # scratch
        jax.ShapeDtypeStruct(residuals.shape if are_kept else (0,), dtype),
    )
    d_hiddens, d_memories = (none if each is None else each for each in d_outputs)
    cotangents = (residuals, d_hiddens, d_state.hidden, memory, d_memories)
    aliases = {len(given): len(like) - 1} if are_kept else {}
    pulled = call_function("backward", settings, like, (*given, *cotangents), aliases)
    d_inputs, d_input_kernel, d_recurrent_kernel, d_bias, d_hidden, d_memory, *others = pulled
    d_reset_hidden, d_reset_memory, d_mask, d_prefix_input, *_ = others
    state = settings.cell.State
    return Arrays(
        params=type(arrays.params)(d_input_kernel, d_recurrent_kernel, d_bias.reshape(arrays.params.bias.shape)),
        inputs=d_inputs if wants_inputs else jnp.zeros_like(arrays.inputs),
        initial=arrays.initial and state(*((d_hidden, d_memory) if is_lstm else (d_hidden,))),
        reset_to=arrays.reset_to and state(*((d_reset_hidden, d_reset_memory) if is_lstm else (d_reset_hidden,))),
        recurrent_mask=None if arrays.recurrent_mask is None else d_mask,
        prefix_input=None if arrays.prefix_input is None else d_prefix_input,
    )


@_backward.defjvp
def _push_backward(settings: Settings, wants_inputs: bool, primals: Any, tangents: Any) -> tuple[Any, Any]:
    def pull(arrays: Arrays, d_outputs: Any, d_state: Any) -> Any:
        _, pull_back = jax.vjp(partial(_reference, settings, primals[1]), arrays)
        return pull_back((d_outputs, d_state))[0]

    arrays, _, _, *cotangents = primals
    d_arrays, _, _, *d_cotangents = tangents
    _, tangent = jax.jvp(pull, (arrays, *cotangents), (d_arrays, *d_cotangents))
    return _backward(settings, wants_inputs, *primals), tangent


def _reference(settings: Settings, masks: Masks, arrays: Arrays) -> tuple[_Outputs, Any]:
    """Returns what `_run` returns, by the plain backend, which has all derivatives."""
    prefix = None
    if masks.prefix_length is not None:
        prefix = Prefix(prefix_input_of(settings, arrays, masks), masks.prefix_length)
    call = Call(
        cell=WithState(settings.cell) if settings.keeps_memories else settings.cell,
        params=cast(arrays.params, settings.dtype),
        inputs=arrays.inputs if masks.index is None else look_up(settings, arrays, masks.index),
        num_batch_axes=1,
        is_token=masks.is_token,
        is_start=masks.is_start,
        initial=arrays.initial,
        reset_to=arrays.reset_to,
        reset_index=masks.reset_index,
        recurrent_mask=arrays.recurrent_mask,
        prefix=prefix,
        reverse=settings.reverse,
        segment_size=None,
        truncate_every=settings.truncate_every,
        make_inputs=None,
        constants=[],
        dtype=arrays.inputs.dtype,
        keeps_outputs=settings.keeps_outputs,
    )
    outputs, state = plain.run(call)
    if settings.keeps_memories:
        hiddens, states = outputs
        return _Outputs(hiddens, states.memory), state
    return _Outputs(outputs if settings.keeps_outputs else None, None), state


def _like(array: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)
