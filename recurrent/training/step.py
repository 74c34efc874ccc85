"""The compiled training step: many steps in one dispatch, the same bits on any number of devices.

A batch is cut into a number of shards that does not depend on the machine. Each shard's gradient is a sum over its
examples; the sums are gathered and added in the shards' order, then divided by the batch's weight. (A mean over devices
would depend on their number, and would divide by zero where a device has only the filling of a short batch.)
"""

from collections.abc import Callable
from functools import partial, reduce
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Int

from recurrent.shapes import RandomKey
from recurrent.training.mesh import AXIS
from recurrent.training.objective import Batch, Sums
from recurrent.training.order import Batches
from recurrent.training.state import TrainState
from recurrent.training.streams import fixed_draws

__all__ = ["Objective", "TrainSteps", "make_train_steps"]

Objective = Callable[[Any, Batch, RandomKey], Sums]
"""(params, batch, key of the step) -> sums over the batch.

It is called once a shard, with the same key: fold an example's number (`batch.number`) into it before drawing. What is
drawn from the key itself would be the same in every shard.
"""

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
        skip_nonfinite: passes over steps whose loss, gradient or new weights are not finite, and counts them, where
            otherwise the steps end there.
    """

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
    optimizer: optax.GradientTransformation,
    skip_nonfinite: bool,
    examples: Any,
    batches: Batches,
    key: RandomKey,
    state: TrainState,
) -> tuple[TrainState, Bool[Array, ""]]:
    """Takes one step, and says whether another may follow; each device sees its own shards in `batches`."""
    batch_number = state.step % len(batches.rows)
    rows, weight = (jax.lax.dynamic_index_in_dim(part, batch_number, keepdims=False) for part in batches)
    step_key = jax.random.fold_in(key, state.step)

    def shard_gradient(shard: tuple[Array, Array]) -> tuple[Any, Sums]:
        rows, weight = shard
        batch = Batch(jax.tree.map(lambda leaf: leaf[rows], examples), rows, weight)
        return jax.grad(lambda params: _with_sums(objective(params, batch, step_key)), has_aux=True)(state.params)

    (gradient, sums), is_finite = _total(jax.lax.map(shard_gradient, (rows, weight)))
    gradient = jax.tree.map(lambda leaf: leaf / sums.weight.astype(leaf.dtype), gradient)
    updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
    running = jax.tree.map(lambda sum: jnp.where(batch_number == 0, jnp.zeros_like(sum), sum), state.sums)
    taken = TrainState(
        params=optax.apply_updates(state.params, updates),
        optimizer_state=optimizer_state,
        step=state.step + 1,
        sums=jax.tree.map(lambda sum, more: sum + more.astype(sum.dtype), running, sums),
        skipped=state.skipped,
    )
    is_finite &= _stays_finite(state, taken)
    if skip_nonfinite:
        passed = state._replace(step=state.step + 1, sums=running, skipped=state.skipped + 1)
        return _choose(is_finite, taken, passed), jnp.ones_like(is_finite)
    return _choose(is_finite, taken, state), is_finite


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


def _with_sums(sums: Sums) -> tuple[Array, Sums]:
    return sums.loss, sums


def _total(local: Any) -> tuple[Any, Bool[Array, ""]]:
    """Gathers the shards' sums from all devices, adds them in the shards' order, and says whether all are finite.

    All arrays of a dtype travel as one: devices wait for each other in every exchange, however small.
    """
    leaves, tree = jax.tree.flatten(local)
    totals: dict[int, Array] = {}
    is_finite = jnp.ones((), jnp.bool_)
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):
        own = [index for index, leaf in enumerate(leaves) if leaf.dtype == dtype]
        joined = jnp.concatenate([leaves[index].reshape(len(leaves[index]), -1) for index in own], axis=1)
        total = reduce(jnp.add, list(jax.lax.all_gather(joined, AXIS, tiled=True)))
        is_finite &= jnp.all(jnp.isfinite(total))
        ends = list(accumulate(leaves[index][0].size for index in own))
        for index, part in zip(own, jnp.split(total, ends[:-1]), strict=True):
            totals[index] = part.reshape(leaves[index].shape[1:])
    return jax.tree.unflatten(tree, [totals[index] for index in range(len(leaves))]), is_finite
