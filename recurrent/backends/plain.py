"""The reference: `scan_cell` for each sequence. It has every derivative, forward mode and second ones too."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from recurrent.backends.call import Call
from recurrent.sequence import scan_cell
from recurrent.steps import fill

__all__ = ["run", "why_not", "with_prefix"]


def why_not(call: Call) -> str | None:
    """Says what of a call this backend can't do: nothing."""
    return None


def run(call: Call) -> tuple[Any, Any]:
    """Runs a batch."""
    call = with_prefix(call)

    def scan_one(
        inputs: Any,
        is_token: Array | None,
        is_start: Array | None,
        initial: Any,
        reset_index: Array | None,
        recurrent_mask: Array | None,
    ) -> tuple[Any, Any]:
        return scan_cell(
            call.cell,
            call.params,
            inputs,
            is_token=is_token,
            is_start=is_start,
            initial=initial,
            reset_to=call.reset_to,
            reset_index=reset_index,
            recurrent_mask=recurrent_mask,
            reverse=call.reverse,
            segment_size=call.segment_size,
            truncate_every=call.truncate_every,
            make_inputs=call.make_inputs,
            dtype=call.dtype,
        )

    scan_all = scan_one
    for _ in call.layout.batch:
        scan_all = jax.vmap(scan_all)
    return scan_all(call.inputs, call.is_token, call.is_start, call.initial, call.reset_index, call.recurrent_mask)


def with_prefix(call: Call) -> Call:
    """Writes the prefix into the inputs, which then are all there is to know."""
    if call.prefix is None:
        return call
    is_prefix = jax.lax.broadcasted_iota(jnp.int32, (*call.layout.batch, call.layout.num_steps), len(call.layout.batch))
    is_prefix = is_prefix < call.prefix.length[..., None]
    return call._replace(inputs=fill(call.inputs, call.prefix.input, is_prefix), prefix=None)
