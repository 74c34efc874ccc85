"""A call of `run`, as the backends get it: all arguments, checked."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from recurrent.arguments import Layout

__all__ = ["Call", "Prefix"]


class Prefix(NamedTuple):
    """Steps at the front of every sequence that are all alike: padding that is read like words, as Keras does unmasked.

    What a cell's state is after k of them depends on k alone, so they are computed once for all sequences.
    """

    input: Any  # of one step, [input] (what `make_inputs` takes, where that is given)
    length: Int[Array, "*batch"]  # how many of a sequence's steps they are; `inputs` counts nothing there


class Call(NamedTuple):
    """The arguments of `run`; see there."""

    cell: Any
    params: Any
    inputs: Any
    layout: Layout
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
    make_inputs: Callable[[Any], Any]
    dtype: jnp.dtype
    keeps_outputs: bool
