"""Gradients that are formed after the loop: a matmul over all steps of all rows for each kernel.

Arrays are [time, rows, ...]. Each function takes the cotangents of one part of the step, stacked over all steps.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from recurrent.backends.fused.rows import leave_one, recur_rows, split_time
from recurrent.backends.fused.settings import Settings
from recurrent.call.axes import merge_axes
from recurrent.call.steps import Carry, recur

__all__ = ["pull_project", "pull_recur", "pull_update", "uses_params"]


def pull_project(settings: Settings, params: Any, inputs: Any, d_projected: Any) -> tuple[Any, Any]:
    """Returns the cotangents of the inputs and of the params of `project`."""
    flat, d_flat = merge_axes((inputs, d_projected), 2)
    _, pull_inputs = jax.vjp(jax.vmap(partial(settings.cell.project, params)), flat)
    (d_inputs,) = pull_inputs(d_flat)
    return split_time(d_inputs, inputs), _pull_params(settings.cell.project, params, (flat,), d_flat)


def pull_recur(
    settings: Settings, params: Any, entered: Carry, recurrent_mask: Any, d_recurrent: Any
) -> tuple[Any, Any]:
    """Returns the cotangents of the params of `recur` and of the recurrent mask."""
    carry, mask, d_flat = merge_axes((entered, recurrent_mask, d_recurrent), 2)
    recur_one = partial(recur, settings.cell)
    _, pull_mask = jax.vjp(partial(recur_rows, settings, params, carry), mask)
    (d_mask,) = pull_mask(d_flat)
    return _pull_params(recur_one, params, (carry, mask), d_flat), split_time(d_mask, entered)


def pull_update(settings: Settings, params: Any, arguments: tuple[Any, ...], cotangents: tuple[Carry, Any]) -> Any:
    """Returns the cotangents of params that `update` uses, such as the gains of a layer normalization.

    Args:
        arguments: those of `leave_one` after the params.
    """
    flat, d_flat = merge_axes((arguments, cotangents), 2)
    return _pull_params(partial(leave_one, settings), params, flat, d_flat)


def _pull_params(function: Callable[..., Any], params: Any, arguments: tuple[Any, ...], cotangents: Any) -> Any:
    """Pulls cotangents of many examples, [examples, ...], back to the params that the examples share.

    A bias is expanded to all examples by a product with ones, so that its gradient is a matmul too: the sum that it
    would be otherwise takes a CPU as long as the gradient of a whole kernel.
    """
    ones = jnp.ones((len(jax.tree.leaves(arguments)[0]), 1))

    def is_thin(leaf: Any) -> bool:
        return leaf.ndim < 2 or len(leaf) <= 2

    def expand(leaf: Any) -> Any:
        if not is_thin(leaf):
            return leaf
        return (ones.astype(leaf.dtype) @ leaf.reshape(1, -1)).reshape(len(ones), *leaf.shape)

    axes = jax.tree.map(lambda leaf: 0 if is_thin(leaf) else None, params)
    over_examples = jax.vmap(function, in_axes=(axes,) + (0,) * len(arguments))
    return jax.vjp(lambda params: over_examples(jax.tree.map(expand, params), *arguments), params)[1](cotangents)[0]


def uses_params(function: Callable[..., Any], params: Any, *arguments: Any) -> bool:
    """Returns whether a cell's function reads the values of its params, and not their shapes alone."""
    jaxpr = jax.make_jaxpr(function)(params, *arguments).jaxpr
    own = jaxpr.invars[: len(jax.tree.leaves(params))]
    read = [*jaxpr.outvars, *(given for equation in jaxpr.eqns for given in equation.invars)]
    return any(given is param for given in read for param in own)
