"""Masks for cuDNN, which takes the tokens of a row first: rows are reordered before the pass, and outputs after it."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

__all__ = ["Order", "order_of"]


class Order(NamedTuple):
    """The order in which a pass takes the steps of each row."""

    step: Int[Array, "rows time"]  # at each place of the pass: first the steps with a token, then the masked ones
    place: Int[Array, "rows time"]  # of the last token that the pass has taken by each step; -1 before the first one
    length: Int[Array, "rows"]  # the number of tokens

    @property
    def is_token(self) -> Bool[Array, "rows time"]:
        """Returns the mask in the order of the pass."""
        return jax.lax.broadcasted_iota(jnp.int32, self.step.shape, 1) < self.length[:, None]

    def arrange(self, inputs: Any) -> Any:
        """Returns inputs [rows, time, ...] in the order of the pass."""
        return jax.tree.map(jax.vmap(partial(_take, is_permutation=True)), inputs, self.step)

    def restore(self, outputs: Float[Array, "rows time hidden"]) -> Float[Array, "rows time hidden"]:
        """Returns outputs in the order of time; a masked step repeats the last output, which is zero at first."""
        taken = jax.vmap(partial(_take, is_permutation=False))(outputs, jnp.maximum(self.place, 0))
        return jnp.where(self.place[..., None] >= 0, taken, jnp.zeros_like(taken))


def order_of(is_token: Bool[Array, "rows time"], reverse: bool) -> Order:
    """Returns the order of a pass over rows with a mask."""
    step = jax.lax.broadcasted_iota(jnp.int32, is_token.shape, 1)
    num_steps = is_token.shape[1]
    turn = num_steps - 1 - step if reverse else step
    count = jax.lax.cumsum(is_token.astype(jnp.int32), axis=1, reverse=reverse)
    return Order(
        step=jnp.argsort(jnp.where(is_token, turn, num_steps + turn), axis=1).astype(jnp.int32),
        place=count - 1,
        length=jnp.max(count, axis=1),
    )


def _take(row: Array, index: Int[Array, "time"], is_permutation: bool) -> Array:
    return row.at[index].get(mode="promise_in_bounds", unique_indices=is_permutation)
