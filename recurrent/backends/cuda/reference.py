"""The recurrence over projected inputs by the plain backend, which has all derivatives."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends import plain
from recurrent.call.call import Call
from recurrent.cells import gru

__all__ = ["refer"]


@dataclass(frozen=True)
class _Projected:
    """A cell whose inputs are projected already."""

    cell: Any

    def zero_state(self, params: Any) -> Any:
        return self.cell.zero_state(params)

    def project(self, params: Any, x: Any) -> Any:
        return tuple(jnp.split(x, 3)) if self.cell is gru else x

    def recur(self, params: Any, state: Any) -> Any:
        return self.cell.recur(params, state)

    def update(self, params: Any, state: Any, projected: Any, recurrent: Any) -> Any:
        return self.cell.update(params, state, projected, recurrent)


def refer(settings: Any, masks: Any, arrays: Any) -> tuple[Any, Any]:
    """Returns what `recurrence.run_rows` returns."""
    kernel, bias, resets = arrays.recurrent_kernel, arrays.recurrent_bias, arrays.resets
    if bias is not None:
        bias = jnp.stack([jnp.zeros_like(bias), bias])
    steps, index = arrays.projected.shape[:2], None
    if resets is not None:
        index = jnp.arange(steps[0] * steps[1]).reshape(steps)
        resets = jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), resets)
    call = Call(
        cell=_Projected(settings.cell),
        params=settings.cell.Params(input_kernel=kernel[:0], recurrent_kernel=kernel, bias=bias),
        inputs=arrays.projected,
        num_batch_axes=1,
        is_token=masks.is_token,
        is_start=masks.is_start,
        initial=arrays.initial,
        reset_to=resets,
        reset_index=index,
        recurrent_mask=None,
        prefix=None,
        reverse=settings.reverse,
        segment_size=None,
        truncate_every=None,
        make_inputs=None,
        constants=[],
        dtype=jnp.dtype(jnp.float32),
        keeps_outputs=settings.keeps_outputs,
    )
    outputs, state = plain.run(call)
    return outputs if settings.keeps_outputs else None, state
