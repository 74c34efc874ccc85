"""A segment of a batch, forwards and backwards: the derivative by hand that works for every cell.

Going back, only what is sequential happens step by step: the cotangent of the state passes through `update` (whose
derivative was taken when the segment's states were computed again) and through `recur`'s matmul. The weights' gradients
wait until the loop is done and are then one matmul each over all steps of all rows.

Arrays are time-major, [time, rows, ...]. Only the carry at the segment's beginning is kept from the forward pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from recurrent.call.steps import Carry, Steps, advance, cast, enter, forget, leave, recur, select
from recurrent.cells.protocol import Cell

__all__ = ["Gradients", "Settings", "Weights", "backward", "forward", "uses_params"]


@dataclass(frozen=True)
class Settings:
    """What is fixed about a run."""

    cell: Cell
    make_inputs: Callable[..., Any]  # (constants, fixed, a segment of inputs) -> the cell's inputs
    reverse: bool
    dtype: Any
    keeps_outputs: bool
    collects: bool  # whether cotangents of made inputs are pulled through `make_inputs` all at once, at the end


class Weights(NamedTuple):
    """What is the same for all steps and rows."""

    params: Any
    constants: list[Any]  # what `make_inputs` takes besides, such as an embedding
    fixed: list[Any] | None  # those that have no derivative, such as integers and keys


class Gradients(NamedTuple):
    """Cotangents of a segment's arguments."""

    params: Any
    carry: Carry
    steps: Steps  # `inputs` being those that were made; None where an argument has no derivative


def forward(settings: Settings, weights: Weights, carry: Carry, steps: Steps) -> tuple[Carry, Any]:
    """Advances all rows through a segment and returns the carry and the outputs, or None for them."""
    cell, params = settings.cell, weights.params
    projected = _project(settings, params, settings.make_inputs(weights.constants, weights.fixed, steps.inputs))

    def take(carry: Carry, at: tuple[Steps, Any]) -> tuple[Carry, Any]:
        carry, output = jax.vmap(partial(advance, cell, params))(carry, *at)
        return carry, cast(output, settings.dtype) if settings.keeps_outputs else None

    return jax.lax.scan(take, carry, (steps._replace(inputs=None), projected), reverse=settings.reverse)


def backward(
    settings: Settings, weights: Weights, carry: Carry, steps: Steps, d_carry: Carry, d_outputs: Any
) -> Gradients:
    """Pulls the cotangents of a segment's last carry and of its outputs back to its arguments."""
    cell, params = settings.cell, weights.params
    inputs = settings.make_inputs(weights.constants, weights.fixed, steps.inputs)
    projected = _project(settings, params, inputs)
    given = steps._replace(inputs=None)
    seen, pull_leave = _steps_again(settings, params, carry, given, projected)

    # Backwards the recurrent kernel is multiplied from its other side, which on a CPU is several times as fast if it
    # comes into the loop transposed.
    transposed = _transpose(params)

    def go_back(d_carry: Carry, at: Any) -> tuple[Carry, Any]:
        (pull_leave, step, entered), d_output = at
        d_entered, d_projected, d_recurrent = pull_leave((d_carry, d_output))
        params = _transpose(transposed)
        _, pull_recur = jax.vjp(lambda carry: _recur(settings, params, carry, step.recurrent_mask), entered)
        d_entered = jax.tree.map(jnp.add, d_entered, *pull_recur(d_recurrent))
        return jax.vmap(forget)(d_entered, step), (d_projected, d_recurrent, d_entered, d_carry)

    linear = (pull_leave, given, seen.entered)
    d_before, (d_projected, d_recurrent, d_entered, d_after) = jax.lax.scan(
        go_back, d_carry, (linear, d_outputs), reverse=not settings.reverse
    )
    d_inputs, d_params = _pull_project(settings, params, inputs, d_projected)
    more, d_mask = _pull_recur(settings, params, seen.entered, steps.recurrent_mask, d_recurrent)
    d_params = jax.tree.map(jnp.add, d_params, more)
    of_one_step = jax.tree.map(_one_step, (seen.entered.state, projected, seen.recurrent))
    if uses_params(cell.update, params, *of_one_step):
        more = _pull_update(settings, params, given, projected, seen, (d_after, d_outputs))
        d_params = jax.tree.map(jnp.add, d_params, more)
    return Gradients(
        d_params, d_before, Steps(d_inputs, reset_state=_resets_only(steps, d_entered), recurrent_mask=d_mask)
    )


class _Seen(NamedTuple):
    """What the loop forwards went through."""

    entered: Carry
    recurrent: Any


def _steps_again(
    settings: Settings, params: Any, carry: Carry, steps: Steps, projected: Any
) -> tuple[_Seen, Callable[[Any], Any]]:
    """Goes forwards once more, and returns the derivative of each step's `leave` too: in one sweep, and not in two."""

    def take(carry: Carry, at: tuple[Steps, Any]) -> tuple[Carry, Any]:
        step, projected = at
        entered = jax.vmap(partial(enter, settings.cell, params))(carry, step)
        recurrent = _recur(settings, params, entered, step.recurrent_mask)
        (carry, _), pull_leave = jax.vjp(partial(_leave, settings, params, step), entered, projected, recurrent)
        return carry, (_Seen(entered, recurrent), pull_leave)

    return jax.lax.scan(take, carry, (steps, projected), reverse=settings.reverse)[1]


def _project(settings: Settings, params: Any, inputs: Any) -> Any:
    inputs, unflatten = _flatten(inputs)
    return unflatten(jax.vmap(partial(settings.cell.project, params))(inputs))


def _flatten(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Makes one axis of time and rows, over which gradients are single matmuls, and returns what undoes it."""
    shape = jax.tree.leaves(tree)[0].shape[:2]
    flat = jax.tree.map(lambda leaf: leaf.reshape(shape[0] * shape[1], *leaf.shape[2:]), tree)
    return flat, lambda tree: jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), tree)


def _transpose(params: Any) -> Any:
    """Transposes the matrices among the params."""
    return jax.tree.map(lambda leaf: leaf.T if leaf.ndim == 2 else leaf, params)


def _recur(settings: Settings, params: Any, carry: Carry, recurrent_mask: Any) -> Any:
    return jax.vmap(partial(recur, settings.cell, params))(carry, recurrent_mask)


def _leave(
    settings: Settings, params: Any, step: Steps, entered: Carry, projected: Any, recurrent: Any
) -> tuple[Carry, Any]:
    return jax.vmap(partial(_leave_one, settings, params))(step, entered, projected, recurrent)


def _leave_one(
    settings: Settings, params: Any, step: Steps, entered: Carry, projected: Any, recurrent: Any
) -> tuple[Carry, Any]:
    carry, output = leave(settings.cell, params, entered, step, projected, recurrent)
    return carry, cast(output, settings.dtype) if settings.keeps_outputs else None


def _pull_project(settings: Settings, params: Any, inputs: Any, d_projected: Any) -> tuple[Any, Any]:
    (inputs, d_projected), unflatten = _flatten((inputs, d_projected))
    _, pull_inputs = jax.vjp(jax.vmap(partial(settings.cell.project, params)), inputs)
    (d_inputs,) = pull_inputs(d_projected)
    return unflatten(d_inputs), _pull_params(settings.cell.project, params, (inputs,), d_projected)


def _pull_recur(
    settings: Settings, params: Any, entered: Carry, recurrent_mask: Any, d_recurrent: Any
) -> tuple[Any, Any]:
    """Forms the recurrent weights' gradient: one matmul over all steps of all rows."""
    (entered, recurrent_mask, d_recurrent), unflatten = _flatten((entered, recurrent_mask, d_recurrent))
    recur_one = partial(recur, settings.cell)
    _, pull_mask = jax.vjp(partial(_recur, settings, params, entered), recurrent_mask)
    (d_mask,) = pull_mask(d_recurrent)
    return _pull_params(recur_one, params, (entered, recurrent_mask), d_recurrent), unflatten(d_mask)


def _pull_update(
    settings: Settings, params: Any, steps: Steps, projected: Any, seen: _Seen, cotangents: tuple[Carry, Any]
) -> Any:
    """Forms the gradient of weights that `update` uses, such as the gains of a normalisation."""
    arguments = (steps, seen.entered, projected, seen.recurrent)
    (arguments, cotangents), _ = _flatten((arguments, cotangents))
    return _pull_params(partial(_leave_one, settings), params, arguments, cotangents)


def _pull_params(function: Callable[..., Any], params: Any, arguments: tuple[Any, ...], cotangents: Any) -> Any:
    """Pulls cotangents of many examples, [examples, ...], back to the params that they share.

    A bias is laid out for every example by a product with ones, and its gradient is then a matmul as well: the sum that
    it would be otherwise takes a CPU as long as the gradient of a whole kernel.
    """
    ones = jnp.ones((len(jax.tree.leaves(arguments)[0]), 1))

    def is_thin(leaf: Any) -> bool:
        return leaf.ndim < 2 or len(leaf) <= 2

    def lay_out(leaf: Any) -> Any:
        return (
            (ones.astype(leaf.dtype) @ leaf.reshape(1, -1)).reshape(len(ones), *leaf.shape) if is_thin(leaf) else leaf
        )

    axes = jax.tree.map(lambda leaf: 0 if is_thin(leaf) else None, params)
    over_examples = jax.vmap(function, in_axes=(axes,) + (0,) * len(arguments))
    return jax.vjp(lambda params: over_examples(jax.tree.map(lay_out, params), *arguments), params)[1](cotangents)[0]


def _resets_only(steps: Steps, d_entered: Carry) -> Any:
    if steps.reset_state is None:
        return None
    keep = jax.vmap(jax.vmap(lambda is_reset, d: select(is_reset, d, jax.tree.map(jnp.zeros_like, d))))
    return keep(steps.is_reset, d_entered.state)


def _one_step(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype)


def uses_params(function: Callable[..., Any], params: Any, *arguments: Any) -> bool:
    """Says whether params, the first argument of a cell's function, enter its numbers and not its shapes alone."""
    jaxpr = jax.make_jaxpr(function)(params, *arguments).jaxpr
    own = jaxpr.invars[: len(jax.tree.leaves(params))]
    read = [*jaxpr.outvars, *(given for equation in jaxpr.eqns for given in equation.invars)]
    return any(given is param for given in read for param in own)
