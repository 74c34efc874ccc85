"""The compiled training step: many steps in one dispatch, the same bits on any number of devices and dispatches.

A batch is cut into a number of shards that does not depend on the machine; see `batch_loss`.
"""

import re
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Int

from recurrent.shapes import RandomKey
from recurrent.training.batch_loss import BatchLoss, Gradient, Objective, mean_loss
from recurrent.training.mesh import AXIS
from recurrent.training.objective import add
from recurrent.training.order import Batches
from recurrent.training.state import TrainState
from recurrent.training.streams import fixed_draws

__all__ = ["Objective", "TrainSteps", "make_train_steps"]

TrainSteps = Callable[[TrainState, Any, Batches, RandomKey, Int[Array, ""]], TrainState]
"""(state, examples, the epoch's batches, the run's key, number of steps) -> state; the given state is donated.

The steps end before the first whose loss, gradient or new weights are not finite: `state.step` tells where.
"""


def make_train_steps(
    objective: Objective, optimizer: optax.GradientTransformation, mesh: Mesh, skip_nonfinite: bool = False
) -> TrainSteps:
    """Compiles training of any number of steps within one epoch; the number is traced, so there is one compilation.

    An objective's key is the run's with the step folded in. What it draws does not depend on JAX's global settings (see
    `fixed_draws`).

    Args:
        optimizer: one that wants more than the gradient is also given `value` (the batch's mean loss), `grad` and
            `value_fn` (params -> mean loss of the same batch with the same noise), by these names.
        skip_nonfinite: passes over steps whose loss, gradient or new weights are not finite, and counts them, where
            otherwise the steps end there.

    Raises:
        ValueError: when the steps are first taken, for an optimizer that needs another argument; names it.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def local_steps(state: TrainState, examples: Any, batches: Batches, key: RandomKey, count: Array) -> TrainState:
        advance = partial(_advance, objective, optimizer, skip_nonfinite, examples, batches, key)
        end = state.step + count
        is_open = jnp.ones((), jnp.bool_)
        return jax.lax.while_loop(
            lambda carry: (carry[0].step < end) & carry[1], lambda carry: advance(carry[0]), (state, is_open)
        )[0]

    everywhere, by_shard = PartitionSpec(), PartitionSpec(None, AXIS)
    steps = jax.shard_map(
        local_steps,
        mesh=mesh,
        in_specs=(everywhere, everywhere, by_shard, everywhere, everywhere),
        out_specs=everywhere,
        check_vma=False,  # every device computes the same update from the same gathered sums
    )
    compiled = jax.jit(steps, donate_argnums=0)

    def take_steps(state: TrainState, examples: Any, batches: Batches, key: RandomKey, count: Array) -> TrainState:
        with fixed_draws():
            return compiled(state, examples, batches, key, count)

    return take_steps


def _advance(
    objective: Objective,
    optimizer: optax.GradientTransformationExtraArgs,
    skip_nonfinite: bool,
    examples: Any,
    batches: Batches,
    key: RandomKey,
    state: TrainState,
) -> tuple[TrainState, Bool[Array, ""]]:
    """Takes one step, and says whether another may follow; each device sees its own shards in `batches`."""
    batch_number = state.step % len(batches.rows)
    rows, weight = (jax.lax.dynamic_index_in_dim(part, batch_number, keepdims=False) for part in batches)
    loss = BatchLoss(objective, examples, rows, weight, jax.random.fold_in(key, state.step))
    found = loss.differentiate(state.params)
    updates, optimizer_state = _update(optimizer, found, state, loss.value)
    is_first = batch_number == 0
    old_sums, old_residue = (
        jax.tree.map(lambda sum: jnp.where(is_first, jnp.zeros_like(sum), sum), each)
        for each in (state.sums, state.residue)
    )
    sums, residue = add(old_sums, old_residue, found.sums)
    taken = TrainState(
        params=optax.apply_updates(state.params, updates),
        optimizer_state=optimizer_state,
        step=state.step + 1,
        sums=sums,
        skipped=state.skipped,
        residue=residue,
    )
    is_finite = found.is_finite & _stays_finite(state, taken)
    if skip_nonfinite:
        passed = state._replace(step=state.step + 1, sums=old_sums, skipped=state.skipped + 1, residue=old_residue)
        return _choose(is_finite, taken, passed), jnp.ones_like(is_finite)
    return _choose(is_finite, taken, state), is_finite


def _update(
    optimizer: optax.GradientTransformationExtraArgs,
    found: Gradient,
    state: TrainState,
    value_fn: Callable[[Any], Array],
) -> tuple[Any, Any]:
    """Asks the optimizer for its updates, and hands it all that one may want to know.

    Raises:
        ValueError: it needs something else.
    """
    known = {"value": mean_loss(found.sums), "grad": found.gradient, "value_fn": value_fn}
    try:
        return optimizer.update(found.gradient, state.optimizer_state, state.params, **known)
    except TypeError as error:
        missing = re.search(r"missing \d+ required .*argument.*?: (.*)", str(error))
        if missing is None:
            raise
        raise ValueError(
            f"The optimizer needs {missing[1]}, which training can't give it; it gives {', '.join(known)}."
        ) from error


def _stays_finite(before: TrainState, after: TrainState) -> Bool[Array, ""]:
    """Says whether the new weights are finite, and what was finite of the optimizer's state; it may hold infinities."""
    pairs = zip(jax.tree.leaves(before.optimizer_state), jax.tree.leaves(after.optimizer_state), strict=True)
    kept = [_is_finite(new) | ~_is_finite(old) for old, new in pairs]
    return reduce(jnp.logical_and, [_is_finite(leaf) for leaf in jax.tree.leaves(after.params)] + kept)


def _is_finite(leaf: Array) -> Bool[Array, ""]:
    """Asks whether 0 x is 0, as a product of matrices: that takes a third of the time of looking at each number."""
    if not leaf.size or not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.ones((), jnp.bool_)
    rows = leaf.reshape(-1, leaf.shape[-1] if leaf.ndim else 1)
    zeros = 0 * rows[0]  # not a constant, with which the compiler would leave the product out
    return jnp.all(jnp.isfinite(rows @ zeros))


def _choose(condition: Bool[Array, ""], one: TrainState, other: TrainState) -> TrainState:
    return jax.tree.map(partial(jnp.where, condition), one, other)
