"""Checks of a call's arguments against each other and against the cell."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from recurrent.call.arguments import integer
from recurrent.cells.params import check_state

__all__ = ["check_mask", "check_options", "check_recurrent_mask", "check_reset_pair", "check_resets"]


def check_mask(name: str, mask: Array | None, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless the mask is None or has one bool per step."""
    if mask is not None and (mask.shape != shape or mask.dtype != jnp.bool_):
        raise ValueError(f"{name} must be bool{list(shape)}, not {mask.dtype}{list(mask.shape)}.")


def check_options(segment_size: int | None, truncate_every: int | None, reverse: bool, dtype: Any) -> None:
    """Raises ValueError for a step count below 1, a `reverse` that is not a bool or a dtype that is not floating."""
    if not isinstance(reverse, bool | np.bool_):
        raise ValueError(f"reverse must be True or False, not {reverse!r}.")
    if dtype is not None and not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"dtype must be floating point, not {jnp.dtype(dtype)}.")
    for name, value in (("segment_size", segment_size), ("truncate_every", truncate_every)):
        if value is not None:
            integer(name, value, at_least=1, takes_arrays=False)


def check_reset_pair(reset_to: Any, reset_index: Any) -> None:
    """Raises ValueError if only one of `reset_to` and `reset_index` is given."""
    if (reset_to is None) != (reset_index is None):
        raise ValueError("reset_to and reset_index must be given together, and with is_start.")


def check_resets(
    is_start: Array | None, reset_to: Any, reset_index: Array | None, shape: tuple[int, ...], zero: Any
) -> None:
    """Raises ValueError if the arguments about resets are incomplete or do not fit the cell."""
    check_reset_pair(reset_to, reset_index)
    if reset_index is None:
        return
    if is_start is None:
        raise ValueError("reset_to and reset_index need is_start, which marks the steps at which they apply.")
    if reset_index.shape != shape or not jnp.issubdtype(reset_index.dtype, jnp.integer):
        raise ValueError(
            f"reset_index must be int{list(shape)}, one value per step, "
            f"not {reset_index.dtype}{list(reset_index.shape)}."
        )
    check_state("reset_to", reset_to, zero, jnp.shape(jax.tree.leaves(reset_to)[0])[:1])


def check_recurrent_mask(mask: Array | None, steps: tuple[int, ...], zero: Any) -> None:
    """Raises ValueError if the state has no field `hidden` or the mask is not [*batch, time or 1, hidden]."""
    if mask is None:
        return
    if not hasattr(zero, "hidden"):
        raise ValueError(f"recurrent_mask multiplies the state's field `hidden`, which {zero} does not have.")
    allowed = dict.fromkeys([(*steps, zero.hidden.shape[-1]), (*steps[:-1], 1, zero.hidden.shape[-1])])
    if mask.shape not in allowed:
        raise ValueError(f"recurrent_mask must have shape {' or '.join(map(str, allowed))}, not {mask.shape}.")
