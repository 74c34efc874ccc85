"""A call as the arrays that the C++ functions take, with its derivative."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Bool, Float, Int

from recurrent.backends import plain
from recurrent.backends.native.library import TARGETS, load
from recurrent.backends.native.long import is_long, run_in_parts
from recurrent.backends.native.plan import KINDS, num_kept, num_states, segment_size, shares_prefix
from recurrent.call.axes import merge_axes, over_axes
from recurrent.call.call import Call
from recurrent.call.meshes import vary_like
from recurrent.call.padding import blank
from recurrent.call.prefix import Prefix, write_prefix
from recurrent.cells.precision import cast

__all__ = ["run"]


class Arrays(NamedTuple):
    """The arguments that have a gradient; None for those that a call does not have."""

    params: Any
    inputs: Float[Array, "rows time input"]
    initial: Any
    reset_to: Any
    recurrent_mask: Float[Array, "rows time_or_1 hidden"] | None
    prefix_input: Float[Array, "input"] | None


class Masks(NamedTuple):
    """The arguments without a gradient."""

    is_token: Bool[Array, "rows time"] | None
    is_start: Bool[Array, "rows time"] | None
    reset_index: Int[Array, "rows time"] | None
    prefix_length: Int[Array, "rows"] | None


@dataclass(frozen=True)
class Settings:
    """What is static."""

    cell: Any
    reverse: bool
    truncate_every: int | None
    segment_size: int | None
    keeps_outputs: bool


def run(call: Call) -> tuple[Any, Any]:
    """Returns the outputs and the final state of a call."""
    if not shares_prefix(call):
        call = call._replace(inputs=write_prefix(call.inputs, call.prefix), prefix=None)
    return run_in_parts(_run_whole, call) if is_long(call) else _run_whole(call)


def _run_whole(call: Call) -> tuple[Any, Any]:
    settings = Settings(call.cell, bool(call.reverse), call.truncate_every, segment_size(call), call.keeps_outputs)
    outputs, state = _run(settings, *_merge_batch(call))
    batch = call.layout.batch
    outputs, state = jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), (outputs, state))
    return cast(outputs, call.dtype) if call.keeps_outputs else None, state


def _merge_batch(call: Call) -> tuple[Arrays, Masks]:
    """Returns the arrays of a call with one axis of rows, in the dtype of the params."""
    inputs, prefix = call.inputs, call.prefix
    prefix_input = None if prefix is None else prefix.input
    if call.make_inputs is not None:
        make_one = partial(call.make_inputs, call.constants)
        if call.is_token is not None:
            # No gradient may come from the inputs of masked steps, at which `make_inputs` need not be finite.
            inputs = over_axes(blank, call.num_batch_axes)(inputs, call.is_token)
        inputs = over_axes(make_one, call.num_batch_axes + 1)(inputs)
        prefix_input = None if prefix is None else make_one(prefix_input)
    dtype = call.params.recurrent_kernel.dtype
    merge = partial(merge_axes, num_axes=call.num_batch_axes)
    differentiable = (call.params, merge(inputs), call.initial and merge(call.initial), call.reset_to)
    arrays = Arrays(*cast((*differentiable, merge(call.recurrent_mask), prefix_input), dtype))
    length = None if prefix is None else prefix.length.reshape(-1)
    return arrays, Masks(merge(call.is_token), merge(call.is_start), merge(call.reset_index), length)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(settings: Settings, arrays: Arrays, masks: Masks) -> tuple[Any, Any]:
    """Computes all steps of all rows."""
    outputs, state, _ = _forward(settings, False, arrays, masks)
    return outputs, state


def _keep(settings: Settings, arrays: Any, masks: Any) -> tuple[Any, Any]:
    has_gradient = any(leaf.perturbed for leaf in jax.tree.leaves(arrays.inputs, is_leaf=_is_primal))
    arrays, masks = jax.tree.map(lambda leaf: leaf.value, (arrays, masks), is_leaf=_is_primal)
    outputs, state, residuals = _forward(settings, True, arrays, masks)
    return (outputs, state), (arrays, masks, residuals, () if has_gradient else None)


def _is_primal(value: Any) -> bool:
    return hasattr(value, "perturbed")


def _pull(settings: Settings, kept: Any, cotangents: Any) -> tuple[Any, Any]:
    arrays, masks, residuals, has_gradient = kept
    d_outputs, d_state = jax.tree.map(_instantiate, cotangents, is_leaf=_is_zero)
    wants_inputs = has_gradient is not None
    return _backward(settings, wants_inputs, arrays, masks, residuals, d_outputs, d_state), None


def _is_zero(cotangent: Any) -> bool:
    return isinstance(cotangent, SymbolicZero)


def _instantiate(cotangent: Any) -> Any:
    return jnp.zeros(cotangent.shape, cotangent.dtype) if _is_zero(cotangent) else cotangent


_run.defvjp(_keep, _pull, symbolic_zeros=True)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _forward(settings: Settings, keeps: bool, arrays: Arrays, masks: Masks) -> tuple[Any, Any, Array]:
    """Returns the outputs, the final state and the residuals, which are empty unless `keeps`."""
    rows, num_steps, _ = arrays.inputs.shape
    hidden_size, dtype = arrays.params.recurrent_kernel.shape[0], arrays.inputs.dtype
    is_lstm = num_states(settings.cell) == 2
    like = (
        jax.ShapeDtypeStruct((rows if settings.keeps_outputs else 0, num_steps, hidden_size), dtype),
        jax.ShapeDtypeStruct((rows, hidden_size), dtype),
        jax.ShapeDtypeStruct((rows if is_lstm else 0, hidden_size), dtype),
        jax.ShapeDtypeStruct((_num_residuals(settings, arrays) if keeps else 0,), dtype),
    )
    outputs, hidden, memory, residuals = _call("forward", settings, like, _operands(settings, arrays, masks))
    state = settings.cell.State(hidden, memory) if is_lstm else settings.cell.State(hidden)
    return outputs if settings.keeps_outputs else None, state, residuals


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
    d_outputs: Array | None,
    d_state: Any,
) -> Arrays:
    """Returns the cotangents of `arrays`."""
    given, dtype = _operands(settings, arrays, masks), arrays.inputs.dtype
    rows, num_steps, input_size = arrays.inputs.shape
    hidden_size = arrays.params.recurrent_kernel.shape[0]
    is_lstm = num_states(settings.cell) == 2
    none = jnp.zeros((0, num_steps, hidden_size), dtype)
    memory = d_state.memory if is_lstm else jnp.zeros((0, hidden_size), dtype)
    like = (
        jax.ShapeDtypeStruct((rows if wants_inputs else 0, num_steps, input_size), dtype),
        *map(_like, arrays.params[:2]),
        jax.ShapeDtypeStruct(given.bias.shape, dtype),
        jax.ShapeDtypeStruct((rows, hidden_size), dtype),
        jax.ShapeDtypeStruct((rows if is_lstm else 0, hidden_size), dtype),
        *map(_like, (given.reset_hidden, given.reset_memory, given.recurrent_mask, given.prefix_input)),
    )
    cotangents = (residuals, none if d_outputs is None else d_outputs, d_state.hidden, memory)
    pulled = _call("backward", settings, like, (*given, *cotangents))
    d_inputs, d_input_kernel, d_recurrent_kernel, d_bias, d_hidden, d_memory, *others = pulled
    d_reset_hidden, d_reset_memory, d_mask, d_prefix_input = others
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


def _reference(settings: Settings, masks: Masks, arrays: Arrays) -> tuple[Any, Any]:
    """Returns what `_run` returns, by the plain backend, which has all derivatives."""
    prefix = None if masks.prefix_length is None else Prefix(arrays.prefix_input, masks.prefix_length)
    call = Call(
        cell=settings.cell,
        params=arrays.params,
        inputs=arrays.inputs,
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
    return outputs if settings.keeps_outputs else None, state


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


def _operands(settings: Settings, arrays: Arrays, masks: Masks) -> Operands:
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
        prefix_input=_or_none(arrays.prefix_input, (0,), dtype),
        prefix_length=_or_none(masks.prefix_length, (0,), jnp.int32),
    )


def _or_none(array: Array | None, shape: tuple[int, ...], dtype: Any) -> Array:
    return jnp.zeros(shape, dtype) if array is None else array.astype(dtype)


def _call(function: str, settings: Settings, like: Any, operands: Any) -> list[Array]:
    results = jax.ffi.ffi_call(TARGETS[function], like, vmap_method="broadcast_all")(
        *operands,
        cell=KINDS.index(settings.cell),
        reverse=int(settings.reverse),
        truncate_every=settings.truncate_every or 0,
        segment_size=settings.segment_size or 0,
    )
    return vary_like(results, operands)


def _num_residuals(settings: Settings, arrays: Arrays) -> int:
    """Returns the number of residuals, as `residuals_size` in `handlers.cc` computes it."""
    num_rows = arrays.inputs.shape[0] + (arrays.prefix_input is not None)
    num_steps, hidden_size = arrays.inputs.shape[1], arrays.params.recurrent_kernel.shape[0]
    lanes = load().vector_bytes // arrays.inputs.dtype.itemsize
    units = math.ceil(hidden_size / lanes) * lanes
    if settings.segment_size is None:
        return num_rows * num_steps * num_kept(settings.cell) * units
    return num_rows * math.ceil(num_steps / settings.segment_size) * num_states(settings.cell) * units


def _like(array: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)
