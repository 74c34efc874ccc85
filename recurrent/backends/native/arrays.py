"""The arguments of a call with one axis of rows: those with a gradient, those without, and what is static."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from recurrent.backends.native.lookup import Lookup
from recurrent.call.axes import merge_axes, over_axes
from recurrent.call.call import Call
from recurrent.call.padding import blank
from recurrent.cells.precision import carry_dtype, cast

__all__ = ["Arrays", "Masks", "Settings", "merge_batch"]


class Arrays(NamedTuple):
    """The arguments that have a gradient; None for those that a call does not have."""

    params: Any
    inputs: Float[Array, "rows time input"]  # or a table [1, rows of the table, input], with `Masks.index`
    initial: Any
    reset_to: Any
    recurrent_mask: Float[Array, "rows time_or_1 hidden"] | None
    prefix_input: Float[Array, "input"] | None  # None also if it is a row of the table, `Masks.prefix_row`


class Masks(NamedTuple):
    """The arguments without a gradient."""

    is_token: Bool[Array, "rows time"] | None
    is_start: Bool[Array, "rows time"] | None
    reset_index: Int[Array, "rows time"] | None
    prefix_length: Int[Array, "rows"] | None
    index: Int[Array, "rows time"] | None  # the row of the table at each step
    prefix_row: Int[Array, "1"] | None


@dataclass(frozen=True)
class Settings:
    """What is static."""

    cell: Any
    reverse: bool
    truncate_every: int | None
    segment_size: int | None
    keeps_outputs: bool
    keeps_memories: bool  # an LSTM's, of all steps
    num_rows: int
    num_steps: int
    mode: str  # how an index beyond the table is read, one of `lookup.MODES`
    dtype: Any  # of the params; bfloat16 is the dtype of the operands of matmuls, and all else is float32


def merge_batch(call: Call, lookup: Lookup | None) -> tuple[Arrays, Masks]:
    """Returns the arrays of a call with one axis of rows, in the dtype of the state."""
    merge, dtype = partial(merge_axes, num_axes=call.num_batch_axes), call.params.recurrent_kernel.dtype
    inputs, prefix_input = call.inputs, None if call.prefix is None else call.prefix.input
    index = prefix_row = None
    if lookup is not None:
        index = merge(over_axes(lookup.index, call.num_batch_axes + 1)(inputs)).astype(jnp.int32)
        inputs = lookup.table[None]
        if call.prefix is not None:
            # C++ adds its gradient to the row's. XLA would copy the whole gradient of the table for it.
            prefix_row, prefix_input = lookup.index(prefix_input).astype(jnp.int32).reshape(1), None
    elif call.make_inputs is not None:
        if call.is_token is not None:
            # No gradient may come from the inputs of masked steps, at which `make_inputs` need not be finite.
            inputs = over_axes(blank, call.num_batch_axes)(inputs, call.is_token)
        inputs = over_axes(partial(call.make_inputs, call.constants), call.num_batch_axes + 1)(inputs)
    if prefix_input is not None and call.make_inputs is not None:
        prefix_input = call.make_inputs(call.constants, prefix_input)
    inputs, prefix_input = cast((inputs if lookup else merge(inputs), prefix_input), dtype)
    differentiable = (call.params, inputs, call.initial and merge(call.initial), call.reset_to)
    arrays = Arrays(*cast((*differentiable, merge(call.recurrent_mask), prefix_input), carry_dtype(dtype)))
    length = None if call.prefix is None else call.prefix.length.reshape(-1)
    return arrays, Masks(merge(call.is_token), merge(call.is_start), merge(call.reset_index), length, index, prefix_row)
