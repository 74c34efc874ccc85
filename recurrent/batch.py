"""One cell over many sequences, by the fastest backend that can."""

from collections.abc import Callable
from typing import Any, Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PyTree

from recurrent.backends import BACKENDS, choose
from recurrent.call.arguments import (
    as_array,
    as_arrays,
    as_params,
    check_mask,
    check_options,
    check_prefix,
    check_recurrent_mask,
    check_resets,
    fit,
    layout,
)
from recurrent.call.call import ARRAYS, Call, Prefix
from recurrent.call.closure import hoist_step
from recurrent.call.compiled import call_compiled
from recurrent.call.meshes import on_auto_axes, vary_alike
from recurrent.call.options import RunOptions, refuse_unknown
from recurrent.call.steps import lend
from recurrent.cells.protocol import Cell, Params, State

__all__ = ["Prefix", "make_call", "run", "run_final"]


def run(
    cell: Cell[Params, State],
    params: Params,
    inputs: PyTree[Float[Array, "*batch time _"]],
    *,
    is_token: Bool[Array, "*batch time"] | None = None,
    is_start: Bool[Array, "*batch time"] | None = None,
    initial: State | None = None,
    reset_to: State | None = None,
    reset_index: Int[Array, "*batch time"] | None = None,
    recurrent_mask: Float[Array, "*batch time_or_1 hidden"] | None = None,
    prefix: Prefix | None = None,
    reverse: bool = False,
    segment_size: int | None = None,
    truncate_every: int | None = None,
    make_inputs: Callable[[Any], Any] | None = None,
    dtype: DTypeLike | None = None,
    backend: str = "auto",
) -> tuple[PyTree[Float[Array, "*batch time _"]], State]:
    """Runs a cell over a batch of sequences: `scan_cell` for each of them, with any number of batch axes in front.

    Arguments and meaning are those of `scan_cell`; all but `params` and `reset_to` have the batch axes too. Besides:

    Args:
        prefix: steps at the front that are alike in all sequences.
        backend: "plain" is the reference and has every derivative; "fused" is fast, and has derivatives in reverse
            mode; "auto" takes "fused" wherever it can run, and `recurrent.explain` says where it can't and why. JAX
            does not tell that a function under `jit` is differentiated in forward mode: there, ask for "plain".

    Raises:
        ValueError: a shape or dtype does not fit, or the backend can't run the call.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> lengths = jnp.array([5, 2])
    >>> is_token = jnp.arange(5)[None] < lengths[:, None]
    >>> outputs, final = recurrent.run(recurrent.gru, params, jnp.ones((2, 5, 3)), is_token=is_token)
    >>> outputs.shape, final.hidden.shape
    ((2, 5, 4), (2, 4))
    """
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
        prefix=prefix,
        reverse=reverse,
        segment_size=segment_size,
        truncate_every=truncate_every,
        make_inputs=make_inputs,
        dtype=dtype,
    )
    return compute(call, choose(call, backend))


def run_final(
    cell: Cell[Params, State],
    params: Params,
    inputs: PyTree[Float[Array, "*batch time _"]],
    **options: Unpack[RunOptions],
) -> State:
    """Runs a cell over a batch of sequences and returns the final state alone: outputs are neither kept nor computed.

    The options are those of `run`. A `prefix` is then computed once for all sequences, where nothing else differs
    between them before their first own step.

    Raises:
        ValueError: a shape or dtype does not fit, or the backend can't run the call.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> recurrent.run_final(recurrent.gru, params, jnp.ones((2, 5, 3))).hidden.shape
    (2, 4)
    """
    refuse_unknown("run_final", options, RunOptions)
    of_call: dict[str, Any] = {name: value for name, value in options.items() if name != "backend"}
    call = make_call(cell, params, inputs, keeps_outputs=False, **of_call)
    return compute(call, choose(call, options.get("backend", "auto")))[1]


def compute(call: Call, backend: str) -> tuple[Any, Any]:
    """Runs a call that was checked, on a backend that can."""
    arrays = vary_alike({name: getattr(call, name) for name in ARRAYS})
    nothing: Any = dict.fromkeys(ARRAYS)
    rest = call._replace(cell=None, **nothing)
    return call_compiled(_compute, call.cell, call.layout.x, arrays, rest=rest, backend=backend)


def _compute(cell: Any, *, rest: Call, backend: str, inputs: Any, **arrays: Any) -> tuple[Any, Any]:
    def run_on_backend(inputs: Any, arrays: dict[str, Any]) -> tuple[Any, Any]:
        return BACKENDS[backend].run(rest._replace(cell=cell, inputs=inputs, **arrays))

    return on_auto_axes(run_on_backend, rest.num_batch_axes, inputs, arrays)


def make_call(
    cell: Any,
    params: Any,
    inputs: Any,
    *,
    keeps_outputs: bool = True,
    is_token: Array | None = None,
    is_start: Array | None = None,
    initial: Any = None,
    reset_to: Any = None,
    reset_index: Array | None = None,
    recurrent_mask: Array | None = None,
    prefix: Prefix | None = None,
    reverse: bool = False,
    segment_size: int | None = None,
    truncate_every: int | None = None,
    make_inputs: Callable[[Any], Any] | None = None,
    dtype: DTypeLike | None = None,
) -> Call:
    """Checks the arguments of a call.

    Raises:
        ValueError: a shape or dtype does not fit.
    """
    inputs, params = as_arrays("inputs", inputs), as_params(cell, params)
    is_token, is_start = as_array("is_token", is_token), as_array("is_start", is_start)
    reset_index, recurrent_mask = as_array("reset_index", reset_index), as_array("recurrent_mask", recurrent_mask)
    batch, num_steps, x = layout(inputs, make_inputs)
    steps = (*batch, num_steps)
    check_options(segment_size, truncate_every, reverse, dtype)
    check_mask("is_token", is_token, steps)
    check_mask("is_start", is_start, steps)
    zero = cell.zero_state(params)
    check_resets(is_start, reset_to, reset_index, steps, zero)
    check_recurrent_mask(recurrent_mask, steps, zero)
    if initial is not None:
        initial = fit("initial", initial, zero, batch)
    if prefix is not None:
        prefix = Prefix(as_arrays("prefix.input", prefix.input), jnp.asarray(as_array("prefix.length", prefix.length)))
        check_prefix(prefix, inputs, batch)
    call = Call(
        cell=cell,
        params=params,
        inputs=inputs,
        num_batch_axes=len(batch),
        is_token=is_token,
        is_start=is_start,
        initial=initial,
        reset_to=reset_to,
        reset_index=reset_index,
        recurrent_mask=recurrent_mask,
        prefix=prefix,
        reverse=reverse,
        segment_size=segment_size,
        truncate_every=truncate_every,
        make_inputs=None,
        constants=[],
        dtype=jnp.dtype(dtype or jax.tree.leaves(x)[0].dtype),
        keeps_outputs=keeps_outputs,
    )
    if make_inputs is None:
        return call
    hoisted, constants = hoist_step(make_inputs, call.step)
    if is_token is not None:
        inputs, constants = lend(inputs, constants, is_token)
    return call._replace(inputs=inputs, make_inputs=hoisted, constants=constants)
