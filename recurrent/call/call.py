"""A call of `run`, as the backends get it: all arguments, checked."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from recurrent.call.arguments import Layout
from recurrent.call.closure import Hoisted

__all__ = ["ARRAYS", "Call", "Prefix"]


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
    make_inputs: Hoisted | None  # of one step: (constants, step) -> what the cell is given
    constants: list[Array]  # that `make_inputs` closes over
    dtype: jnp.dtype
    keeps_outputs: bool

    @property
    def step(self) -> Any:
        """Shapes and dtypes of one step of the inputs of one sequence."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape[self.num_batch_axes + 1 :], leaf.dtype), self.inputs
        )

    @property
    def layout(self) -> Layout:
        """How the arrays are laid out."""
        steps = jax.tree.leaves(self.inputs)[0].shape[: self.num_batch_axes + 1]
        x = self.step
        if self.make_inputs is not None:
            x = jax.eval_shape(self.make_inputs, self.constants, x)
        return Layout(steps[:-1], steps[-1], x)


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
"""The fields of a call that hold arrays."""
