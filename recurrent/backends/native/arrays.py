"""The arguments of a call with one axis of rows: those with a gradient, those without, and what is static."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from recurrent.call.axes import merge_axes, over_axes
from recurrent.call.call import Call
from recurrent.call.padding import blank
from recurrent.cells.precision import carry_dtype, cast

__all__ = ["Arrays", "Masks", "Settings", "merge_batch"]


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
    dtype: Any  # of the params; bfloat16 is the dtype of the operands of matmuls, and all else is float32


def merge_batch(call: Call) -> tuple[Arrays, Masks]:
    """Returns the arrays of a call with one axis of rows, in the dtype of the state."""
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
    inputs, prefix_input = cast((inputs, prefix_input), dtype)
    merge = partial(merge_axes, num_axes=call.num_batch_axes)
    differentiable = (call.params, merge(inputs), call.initial and merge(call.initial), call.reset_to)
    arrays = Arrays(*cast((*differentiable, merge(call.recurrent_mask), prefix_input), carry_dtype(dtype)))
    length = None if prefix is None else prefix.length.reshape(-1)
    return arrays, Masks(merge(call.is_token), merge(call.is_start), merge(call.reset_index), length)
