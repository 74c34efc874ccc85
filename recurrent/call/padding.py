"""Inputs of masked steps: replaced by values at which every function of them is finite.

A masked step's output is discarded, but a NaN in its derivative would still reach the gradients, since 0 * NaN is NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from recurrent.call.axes import align, merge_axes

__all__ = ["blank", "fill", "lend"]


def blank(inputs: PyTree[Array], is_token: Bool[Array, "time *rows"]) -> PyTree[Array]:
    """Replaces the input of each masked step by that of the sequence's first step with a token.

    At that input a function such as a logarithm is finite and has a finite derivative, which it need not have at zero.
    A sequence without tokens takes its first step, with zero in place of NaN and infinity. No gradient reaches the
    replaced inputs.
    """
    if is_token.shape[0] == 0:
        return inputs
    find = _find_harmless
    for _ in is_token.shape[1:]:
        find = jax.vmap(find, in_axes=1)
    return fill(inputs, jax.lax.stop_gradient(find(inputs, is_token)), ~is_token)


def _find_harmless(inputs: PyTree[Array], is_token: Bool[Array, "time"]) -> PyTree[Array]:
    """Returns the input that replaces those of one sequence's masked steps."""
    first, has_token = jnp.argmax(is_token), jnp.any(is_token)

    def choose(leaf: Array) -> Array:
        step = jax.lax.dynamic_index_in_dim(leaf, first, keepdims=False)
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return step
        return jnp.where(has_token | jnp.isfinite(step), step, jnp.zeros_like(step))

    return jax.tree.map(choose, inputs)


def lend(
    inputs: PyTree[Array], constants: list[Array], is_token: Bool[Array, "*batch time"]
) -> tuple[PyTree[Array], list[Array]]:
    """Fills sequences without tokens with a token of another sequence, for a `make_inputs` that is not finite at zero.

    Integer inputs, such as token ids, stay as they are: `make_inputs` is finite at each of them. If no sequence has a
    token, no gradient reaches the constants of `make_inputs`.
    """
    if not any(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in jax.tree.leaves(inputs)) or is_token.size == 0:
        return inputs, constants
    rows = merge_axes(is_token, is_token.ndim - 1)
    has_token = jnp.any(rows, axis=1)
    lender = jnp.argmax(has_token)
    is_lent = jnp.any(has_token) & ~jnp.any(is_token, axis=-1, keepdims=True)

    def borrow(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        step = merge_axes(leaf, is_token.ndim - 1)[lender, jnp.argmax(rows[lender])]
        return fill(leaf, jax.lax.stop_gradient(step), jnp.broadcast_to(is_lent, is_token.shape))

    def keep(constant: Array) -> Array:
        if not jnp.issubdtype(constant.dtype, jnp.inexact):
            return constant
        return jnp.where(jnp.any(has_token), constant, jax.lax.stop_gradient(constant))

    return jax.tree.map(borrow, inputs), list(map(keep, constants))


def fill(inputs: PyTree[Array], x: PyTree[Array], is_filled: Bool[Array, "*steps"]) -> PyTree[Array]:
    """Returns inputs [*steps, ...] with the input `x` at the steps where `is_filled` is True."""

    def choose(leaf: Array, x: Array) -> Any:
        return jnp.where(align(is_filled, leaf), jnp.broadcast_to(x.astype(leaf.dtype), leaf.shape), leaf)

    return jax.tree.map(choose, inputs, x)
