"""One segment of a batch, forward and backward: a derivative written by hand that holds for every cell.

The backward pass computes the segment's steps again, then goes back step by step with what is sequential: the cotangent
of the state passes through `update` and through the matmul of `recur`. The gradients of the weights are formed after
that loop, each as one matmul over all steps of all rows.

Arrays are time-major, [time, rows, ...]. The forward pass keeps only the carry at the segment's beginning.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from recurrent.backends.fused.rows import leave_rows, project_rows, recur_rows
from recurrent.backends.fused.settings import Gradients, Settings, Weights
from recurrent.backends.fused.weights import pull_project, pull_recur, pull_update, uses_params
from recurrent.call.steps import Carry, Steps, advance, enter, forget, select
from recurrent.cells.precision import cast

__all__ = ["backward", "forward"]


def forward(settings: Settings, weights: Weights, carry: Carry, steps: Steps) -> tuple[Carry, Any]:
    """Advances all rows through a segment and returns the carry and the outputs, or None for them."""
    cell, params = settings.cell, weights.params
    projected = project_rows(settings, params, settings.make_inputs(weights.constants, weights.fixed, steps.inputs))

    def take(carry: Carry, at: tuple[Steps, Any]) -> tuple[Carry, Any]:
        carry, output = jax.vmap(partial(advance, cell, params))(carry, *at)
        return carry, cast(output, settings.dtype) if settings.keeps_outputs else None

    return jax.lax.scan(take, carry, (steps._replace(inputs=None), projected), reverse=settings.reverse)


def backward(
    settings: Settings, weights: Weights, carry: Carry, steps: Steps, d_carry: Carry, d_outputs: Any
) -> Gradients:
    """Pulls the cotangents of a segment's last carry and of its outputs back to its arguments."""
    params = weights.params
    inputs = settings.make_inputs(weights.constants, weights.fixed, steps.inputs)
    projected = project_rows(settings, params, inputs)
    given = steps._replace(inputs=None)
    seen, pull_leave = _steps_again(settings, params, carry, given, projected)
    d_before, d_seen = _go_back(settings, params, pull_leave, given, seen, d_carry, d_outputs)
    d_inputs, d_params = pull_project(settings, params, inputs, d_seen.projected)
    more, d_mask = pull_recur(settings, params, seen.entered, steps.recurrent_mask, d_seen.recurrent)
    d_params = jax.tree.map(jnp.add, d_params, more)
    of_one_step = jax.tree.map(_one_step, (seen.entered.state, projected, seen.recurrent))
    if uses_params(settings.cell.update, params, *of_one_step):
        arguments = (given, seen.entered, projected, seen.recurrent)
        more = pull_update(settings, params, arguments, (d_seen.after, d_outputs))
        d_params = jax.tree.map(jnp.add, d_params, more)
    return Gradients(
        d_params, d_before, Steps(d_inputs, reset_state=_resets_only(steps, d_seen.entered), recurrent_mask=d_mask)
    )


class _Seen(NamedTuple):
    """Intermediate values of all steps, [time, rows, ...]."""

    entered: Carry
    recurrent: Any


class _Cotangents(NamedTuple):
    """Cotangents of all steps, [time, rows, ...]."""

    projected: Any
    recurrent: Any
    entered: Carry
    after: Carry


def _steps_again(
    settings: Settings, params: Any, carry: Carry, steps: Steps, projected: Any
) -> tuple[_Seen, Callable[[Any], Any]]:
    """Computes the steps again; returns their intermediate values and the derivative of each step's `leave`."""

    def take(carry: Carry, at: tuple[Steps, Any]) -> tuple[Carry, Any]:
        step, projected = at
        entered = jax.vmap(partial(enter, settings.cell, params))(carry, step)
        recurrent = recur_rows(settings, params, entered, step.recurrent_mask)
        (carry, _), pull_leave = jax.vjp(partial(leave_rows, settings, params, step), entered, projected, recurrent)
        return carry, (_Seen(entered, recurrent), pull_leave)

    return jax.lax.scan(take, carry, (steps, projected), reverse=settings.reverse)[1]


def _go_back(
    settings: Settings,
    params: Any,
    pull_leave: Callable[[Any], Any],
    steps: Steps,
    seen: _Seen,
    d_carry: Carry,
    d_outputs: Any,
) -> tuple[Carry, _Cotangents]:
    """Goes back step by step; returns the cotangent of the first carry, and those of all steps."""
    # On a CPU the product with the transposed recurrent kernel is several times as fast if the kernel enters the loop
    # transposed.
    transposed = _transpose(params)

    def go_back(d_carry: Carry, at: Any) -> tuple[Carry, _Cotangents]:
        (pull_leave, step, entered), d_output = at
        d_entered, d_projected, d_recurrent = pull_leave((d_carry, d_output))
        params = _transpose(transposed)
        _, pull = jax.vjp(lambda carry: recur_rows(settings, params, carry, step.recurrent_mask), entered)
        d_entered = jax.tree.map(jnp.add, d_entered, *pull(d_recurrent))
        return jax.vmap(forget)(d_entered, step), _Cotangents(d_projected, d_recurrent, d_entered, d_carry)

    linear = (pull_leave, steps, seen.entered)
    return jax.lax.scan(go_back, d_carry, (linear, d_outputs), reverse=not settings.reverse)


def _transpose(params: Any) -> Any:
    """Transposes the matrices among the params."""
    return jax.tree.map(lambda leaf: leaf.T if leaf.ndim == 2 else leaf, params)


def _resets_only(steps: Steps, d_entered: Carry) -> Any:
    """Returns the cotangents of the states to which resets lead."""
    if steps.reset_state is None:
        return None
    keep = jax.vmap(jax.vmap(lambda is_reset, d: select(is_reset, d, jax.tree.map(jnp.zeros_like, d))))
    return keep(steps.is_reset, d_entered.state)


def _one_step(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype)
