"""The recurrence over projected inputs, with its derivatives: of first order in CUDA, then by the plain backend."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from recurrent.backends.cuda.library import TARGETS
from recurrent.backends.cuda.reference import refer
from recurrent.backends.cuda.sizes import KINDS, NUM_KEPT, num_states
from recurrent.call.meshes import vary_like
from recurrent.call.symbolic_zeros import instantiate, is_zero, values

__all__ = ["Arrays", "Masks", "Settings", "run_rows"]


class Settings(NamedTuple):
    """What is static."""

    cell: Any
    reverse: bool
    keeps_outputs: bool


class Arrays(NamedTuple):
    """The arguments that have a gradient; None for those that a call does not have."""

    projected: Float[Array, "rows time gates"]
    recurrent_kernel: Float[Array, "hidden gates"]
    recurrent_bias: Float[Array, "gates"] | None
    initial: Any  # arrays [rows, hidden]
    resets: Any  # arrays [rows, time, hidden]: the states to which each step's reset leads


class Masks(NamedTuple):
    """The arguments without a gradient."""

    is_token: Bool[Array, "rows time"] | None
    is_start: Bool[Array, "rows time"] | None


class Residuals(NamedTuple):
    """What the backward pass needs of all steps."""

    gates: Float[Array, "rows time kept"]  # before they are squashed
    before: tuple[Float[Array, "rows time hidden"], ...]  # the state before each step


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def run_rows(settings: Settings, arrays: Arrays, masks: Masks) -> tuple[Any, Any]:
    """Returns the outputs, or None, and the final states of rows."""
    return _forward(settings, False, arrays, masks)[:2]


def _keep(settings: Settings, arrays: Any, masks: Any) -> tuple[Any, Any]:
    arrays, masks = values((arrays, masks))
    outputs, state, residuals = _forward(settings, True, arrays, masks)
    return (outputs, state), (arrays, masks, residuals)


def _pull(settings: Settings, kept: Any, cotangents: Any) -> tuple[Any, Any]:
    arrays, masks, residuals = kept
    d_outputs, d_state = cotangents
    d_outputs = None if is_zero(d_outputs) else d_outputs
    return _backward(settings, arrays, masks, residuals, d_outputs, instantiate(d_state)), None


run_rows.defvjp(_keep, _pull, symbolic_zeros=True)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _forward(settings: Settings, keeps: bool, arrays: Arrays, masks: Masks) -> tuple[Any, Any, Residuals]:
    """Returns the outputs, the final state and the residuals, which are empty unless `keeps`."""
    cell, (rows, num_steps, _), hidden = settings.cell, arrays.projected.shape, len(arrays.recurrent_kernel)
    is_lstm = num_states(cell) == 2
    kept, outputs = rows if keeps else 0, rows if settings.keeps_outputs else 0
    shapes = (
        (outputs, num_steps, hidden),
        (rows, hidden),
        (rows if is_lstm else 0, hidden),
        (kept, num_steps, NUM_KEPT[cell] * hidden),
        (kept, num_steps, hidden),
        (kept if is_lstm else 0, num_steps, hidden),
    )
    bias = jnp.zeros(0, jnp.float32) if arrays.recurrent_bias is None else arrays.recurrent_bias
    given = (
        arrays.projected,
        bias,
        *_pair(arrays.initial, (0, hidden)),
        *_pair(_resets(settings, arrays), (0, num_steps, hidden)),
    )
    results = _call("forward", settings, shapes, (*_both(settings, arrays, masks), *given))
    outputs, *final, gates, before_hidden, before_memory = results
    count = num_states(cell)
    residuals = Residuals(gates, (before_hidden, before_memory)[:count])
    return outputs if settings.keeps_outputs else None, cell.State(*final[:count]), residuals


@_forward.defjvp
def _push_forward(settings: Settings, keeps: bool, primals: Any, tangents: Any) -> tuple[Any, Any]:
    outputs, state, residuals = _forward(settings, keeps, *primals)
    # Residuals depend on the arguments, but `_push_backward` takes its derivatives with respect to those.
    _, (d_outputs, d_state) = jax.jvp(partial(refer, settings, primals[1]), primals[:1], tangents[:1])
    return (outputs, state, residuals), (d_outputs, d_state, jax.tree.map(jnp.zeros_like, residuals))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _backward(
    settings: Settings, arrays: Arrays, masks: Masks, residuals: Residuals, d_outputs: Array | None, d_state: Any
) -> Arrays:
    """Returns the cotangents of `arrays`."""
    cell, (rows, num_steps, columns), hidden = settings.cell, arrays.projected.shape, len(arrays.recurrent_kernel)
    count, has_bias = num_states(cell), arrays.recurrent_bias is not None
    memories, resets = rows if count == 2 else 0, rows if arrays.resets is not None else 0
    shapes = (
        (rows, num_steps, columns),
        (rows if has_bias else 0, num_steps, columns),
        (rows, hidden),
        (memories, hidden),
        (resets, num_steps, hidden),
        (resets if count == 2 else 0, num_steps, hidden),
    )
    none = jnp.zeros((0, num_steps, hidden), jnp.float32)
    given = residuals.gates, *_pair(residuals.before, none.shape), none if d_outputs is None else d_outputs
    given = (*_both(settings, arrays, masks), *given, *_pair(d_state, (0, hidden)))
    d_projected, d_recurrent, *others = _call("backward", settings, shapes, given)
    d_initial, d_resets = others[:count], others[2 : 2 + count]
    d_recurrent = d_recurrent if has_bias else d_projected
    if settings.reverse:
        d_resets = [jnp.roll(leaf, 1, axis=1) for leaf in d_resets]
    return Arrays(
        projected=d_projected,
        recurrent_kernel=jax.lax.dot_general(residuals.before[0], d_recurrent, (((0, 1), (0, 1)), ((), ()))),
        recurrent_bias=jnp.sum(d_recurrent, (0, 1)) if has_bias else None,
        initial=arrays.initial and cell.State(*d_initial),
        resets=arrays.resets and cell.State(*d_resets),
    )


@_backward.defjvp
def _push_backward(settings: Settings, primals: Any, tangents: Any) -> tuple[Any, Any]:
    def pull(arrays: Arrays, d_outputs: Any, d_state: Any) -> Any:
        (outputs, _), pull_back = jax.vjp(partial(refer, settings, primals[1]), arrays)
        d_outputs = jax.tree.map(jnp.zeros_like, outputs) if d_outputs is None else d_outputs
        return pull_back((d_outputs, d_state))[0]

    arrays, _, _, *cotangents = primals
    d_arrays, _, _, *d_cotangents = tangents
    _, tangent = jax.jvp(pull, (arrays, *cotangents), (d_arrays, *d_cotangents))
    return _backward(settings, *primals), tangent


def _both(settings: Settings, arrays: Arrays, masks: Masks) -> tuple[Array, Array]:
    """Returns the arrays that both passes take first: the kernel, and the events of each step as in `lanes.h`."""
    is_token, is_reset, num_steps = masks.is_token, masks.is_start, arrays.projected.shape[1]
    if is_token is None and is_reset is None:
        return arrays.recurrent_kernel, jnp.zeros((0, num_steps), jnp.int32)
    events = jnp.ones(arrays.projected.shape[:2], jnp.int32) if is_token is None else is_token.astype(jnp.int32)
    if is_reset is not None:
        if settings.reverse:  # in a reversed pass, resets follow the starts
            is_reset = jnp.concatenate([is_reset[:, 1:], jnp.zeros_like(is_reset[:, :1])], axis=1)
        events += 2 * is_reset.astype(jnp.int32)
    return arrays.recurrent_kernel, events


def _resets(settings: Settings, arrays: Arrays) -> Any:
    if not settings.reverse:
        return arrays.resets
    return jax.tree.map(lambda leaf: jnp.roll(leaf, -1, axis=1), arrays.resets)


def _pair(arrays: Any, empty: tuple[int, ...]) -> list[Array]:
    """Returns two arrays: of a hidden state and a memory, of which a call may lack one or both."""
    none = jnp.zeros(empty, jnp.float32)
    return [*(arrays or ()), none, none][:2]


def _call(function: str, settings: Settings, shapes: tuple[tuple[int, ...], ...], operands: Any) -> list[Array]:
    """Calls "forward" or "backward"; returns arrays of these shapes."""
    like = tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    call = jax.ffi.ffi_call(TARGETS[function], like, vmap_method="broadcast_all")
    results = call(*operands, cell=KINDS.index(settings.cell), reverse=int(settings.reverse))
    return list(vary_like(results, operands))
