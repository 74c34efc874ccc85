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
from jaxtyping import Array, Int

from recurrent.shapes import RandomKey
from recurrent.training.mesh import AXIS
from recurrent.training.objective import Batch, Sums
from recurrent.training.order import Batches
from recurrent.training.state import TrainState

__all__ = ["Objective", "TrainSteps", "make_train_steps"]

Objective = Callable[[Any, Batch, RandomKey], Sums]
"""(params, batch, key of the step) -> sums over the batch."""

TrainSteps = Callable[[TrainState, Any, Batches, RandomKey, Int[Array, ""]], TrainState]
"""(state, examples, the epoch's batches, the run's key, number of steps) -> state; the given state is donated."""


def make_train_steps(objective: Objective, optimizer: optax.GradientTransformation, mesh: Mesh) -> TrainSteps:
    """Compiles training of any number of steps within one epoch; the number is traced, so there is one compilation."""

    def local_steps(state: TrainState, examples: Any, batches: Batches, key: RandomKey, count: Array) -> TrainState:
        advance = partial(_advance, objective, optimizer, examples, batches, key)
        return jax.lax.fori_loop(0, count, lambda _, state: advance(state), state)

    everywhere, by_shard = PartitionSpec(), PartitionSpec(None, AXIS)
    steps = jax.shard_map(
        local_steps,
        mesh=mesh,
        in_specs=(everywhere, everywhere, by_shard, everywhere, everywhere),
        out_specs=everywhere,
        check_vma=False,  # every device computes the same update from the same gathered sums
    )
    return jax.jit(steps, donate_argnums=0)


def _advance(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    examples: Any,
    batches: Batches,
    key: RandomKey,
    state: TrainState,
) -> TrainState:
    """Takes one step; each device sees its own shards in `batches`."""
    batch_number = state.step % len(batches.rows)
    rows, weight = (jax.lax.dynamic_index_in_dim(part, batch_number, keepdims=False) for part in batches)
    step_key = jax.random.fold_in(key, state.step)

    def shard_gradient(shard: tuple[Array, Array]) -> tuple[Any, Sums]:
        rows, weight = shard
        batch = Batch(jax.tree.map(lambda leaf: leaf[rows], examples), rows, weight)
        return jax.grad(lambda params: _with_sums(objective(params, batch, step_key)), has_aux=True)(state.params)

    gradient, sums = _total(jax.lax.map(shard_gradient, (rows, weight)))
    gradient = jax.tree.map(lambda leaf: leaf / sums.weight.astype(leaf.dtype), gradient)
    updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
    running = jax.tree.map(lambda sum: jnp.where(batch_number == 0, jnp.zeros_like(sum), sum), state.sums)
    return TrainState(
        params=optax.apply_updates(state.params, updates),
        optimizer_state=optimizer_state,
        step=state.step + 1,
        sums=jax.tree.map(lambda sum, more: sum + more.astype(sum.dtype), running, sums),
    )


def _with_sums(sums: Sums) -> tuple[Array, Sums]:
    return sums.loss, sums


def _total(local: Any) -> Any:
    """Gathers the shards' sums from all devices and adds them in the shards' order.

    All arrays of a dtype travel as one: devices wait for each other in every exchange, however small.
    """
    leaves, tree = jax.tree.flatten(local)
    totals: dict[int, Array] = {}
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):
        own = [index for index, leaf in enumerate(leaves) if leaf.dtype == dtype]
        joined = jnp.concatenate([leaves[index].reshape(len(leaves[index]), -1) for index in own], axis=1)
        total = reduce(jnp.add, list(jax.lax.all_gather(joined, AXIS, tiled=True)))
        ends = list(accumulate(leaves[index][0].size for index in own))
        for index, part in zip(own, jnp.split(total, ends[:-1]), strict=True):
            totals[index] = part.reshape(leaves[index].shape[1:])
    return jax.tree.unflatten(tree, [totals[index] for index in range(len(leaves))])
