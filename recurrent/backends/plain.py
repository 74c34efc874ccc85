"""The reference: `scan_one` for each sequence. It has every derivative, forward mode and second ones too."""

from typing import Any

import jax
import jax.numpy as jnp

from recurrent.call.call import Call
from recurrent.call.closure import over_axes
from recurrent.call.steps import fill
from recurrent.sequence import scan_one

__all__ = ["run", "why_not", "with_prefix"]


def why_not(call: Call) -> str | None:
    """Says what of a call this backend can't do: nothing."""
    return None


def run(call: Call) -> tuple[Any, Any]:
    """Runs a batch."""
    call = with_prefix(call)

    options = {
        "cell": call.cell,
        "params": call.params,
        "reset_to": call.reset_to,
        "constants": call.constants,
        "make_inputs": call.make_inputs,
        "reverse": call.reverse,
        "segment_size": call.segment_size,
        "truncate_every": call.truncate_every,
        "dtype": call.dtype,
    }
    names = ("inputs", "is_token", "is_start", "initial", "reset_index", "recurrent_mask")
    scan_all = over_axes(lambda arrays: scan_one(**options, **arrays), len(call.layout.batch))
    return scan_all({name: getattr(call, name) for name in names})


def with_prefix(call: Call) -> Call:
    """Writes the prefix into the inputs, which then are all there is to know."""
    if call.prefix is None:
        return call
    is_prefix = jax.lax.broadcasted_iota(jnp.int32, (*call.layout.batch, call.layout.num_steps), len(call.layout.batch))
    is_prefix = is_prefix < call.prefix.length[..., None]
    return call._replace(inputs=fill(call.inputs, call.prefix.input, is_prefix), prefix=None)
