"""A call of `run` or `scan_cell`: all of its arguments, checked and converted, as the backends take them."""

from collections.abc import Callable
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from recurrent.call.arguments import Layout, as_array, as_arrays, as_params, fit, layout
from recurrent.call.checks import check_mask, check_options, check_recurrent_mask, check_resets
from recurrent.call.closure import Hoisted, hoist_step, step_like
from recurrent.call.options import CallOptions
from recurrent.call.padding import lend
from recurrent.call.prefix import Prefix, as_prefix, check_prefix

__all__ = ["ARRAYS", "Call", "make_call"]


class Call(NamedTuple):
    """The arguments of `run`, under the same names."""

    cell: Any
    params: Any
    inputs: Any
    num_batch_axes: int
    is_token: Bool[Array, "*batch time"] | None
    is_start: Bool[Array, "*batch time"] | None
    initial: Any
    reset_to: Any
    reset_index: Int[Array, "*batch time"] | None
    recurrent_mask: Float[Array, "*batch time_or_1 hidden"] | None
    prefix: Prefix | None
    reverse: bool
    segment_size: int | None
    truncate_every: int | None
    make_inputs: Hoisted | None  # (constants, one step of `inputs`) -> the cell's input
    constants: list[Array]  # the arrays that `make_inputs` closes over
    dtype: jnp.dtype  # of the outputs
    keeps_outputs: bool

    @property
    def step(self) -> Any:
        """The shapes and dtypes of one step of `inputs`."""
        return step_like(self.inputs, self.num_batch_axes + 1)

    @property
    def layout(self) -> Layout:
        """The shapes of the call's inputs."""
        steps = jax.tree.leaves(self.inputs)[0].shape[: self.num_batch_axes + 1]
        x = self.step
        if self.make_inputs is not None:
            x = jax.eval_shape(self.make_inputs, self.constants, x)
        return Layout(steps[:-1], steps[-1], x)

    @property
    def has_one_prefix(self) -> bool:
        """Whether the prefix can be computed once for all rows: it comes first and gives all of them one state."""
        differs = (self.is_token, self.is_start, self.initial, self.recurrent_mask, self.truncate_every)
        is_alike = all(argument is None for argument in differs) and not (self.reverse or self.keeps_outputs)
        return self.prefix is not None and is_alike


ARRAYS = (
    "params",
    "inputs",
    "is_token",
    "is_start",
    "initial",
    "reset_to",
    "reset_index",
    "recurrent_mask",
    "prefix",
    "constants",
)
"""The fields of a `Call` that hold arrays."""


def make_call(
    cell: Any, params: Any, inputs: Any, *, keeps_outputs: bool = True, **options: Unpack[CallOptions]
) -> Call:
    """Checks and converts the arguments of a call.

    Raises:
        ValueError: a shape or dtype does not fit.
    """
    inputs, params = as_arrays("inputs", inputs), as_params(cell, params)
    make_inputs, dtype = options.get("make_inputs"), options.get("dtype")
    batch, num_steps, x = layout(inputs, make_inputs)
    initial, zero = options.get("initial"), cell.zero_state(params)
    call = Call(
        cell=cell,
        params=params,
        inputs=inputs,
        num_batch_axes=len(batch),
        is_token=as_array("is_token", options.get("is_token")),
        is_start=as_array("is_start", options.get("is_start")),
        initial=None if initial is None else fit("initial", initial, zero, batch),
        reset_to=options.get("reset_to"),
        reset_index=as_array("reset_index", options.get("reset_index")),
        recurrent_mask=as_array("recurrent_mask", options.get("recurrent_mask")),
        prefix=as_prefix(options.get("prefix")),
        reverse=options.get("reverse", False),
        segment_size=options.get("segment_size"),
        truncate_every=options.get("truncate_every"),
        make_inputs=None,
        constants=[],
        dtype=jnp.dtype(dtype or jax.tree.leaves(x)[0].dtype),
        keeps_outputs=keeps_outputs,
    )
    _check(call, (*batch, num_steps), zero)
    return call if make_inputs is None else _hoist_make_inputs(call, make_inputs)


def _check(call: Call, steps: tuple[int, ...], zero: Any) -> None:
    check_options(call.segment_size, call.truncate_every, call.reverse, call.dtype)
    check_mask("is_token", call.is_token, steps)
    check_mask("is_start", call.is_start, steps)
    check_resets(call.is_start, call.reset_to, call.reset_index, steps, zero)
    check_recurrent_mask(call.recurrent_mask, steps, zero)
    check_prefix(call.prefix, call.inputs, steps[:-1])


def _hoist_make_inputs(call: Call, make_inputs: Callable[[Any], Any]) -> Call:
    hoisted, constants = hoist_step(make_inputs, call.step)
    inputs = call.inputs
    if call.is_token is not None:
        inputs, constants = lend(inputs, constants, call.is_token)
    return call._replace(inputs=inputs, make_inputs=hoisted, constants=constants)
