"""The compiled training step: many steps in one dispatch, with the same bits for any number of devices and dispatches.

A batch is cut into a number of shards that does not depend on the machine; see `batch_loss`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from recurrent.shapes import RandomKey
from recurrent.training.average import Average
from recurrent.training.batch_loss import BatchLoss, Gradient, Objective, mean_loss
from recurrent.training.chunk import is_split
from recurrent.training.finite import stays_finite
from recurrent.training.mesh import AXIS
from recurrent.training.objective import add
from recurrent.training.order import Batches
from recurrent.training.state import TrainState
from recurrent.training.streams import fixed_draws

__all__ = ["Objective", "Rule", "TrainSteps", "choose", "make_train_steps"]

TrainSteps = Callable[[TrainState, Any, Batches, RandomKey, Int[Array, ""]], TrainState]
"""(state, examples, the epoch's batches, the run's key, number of steps) -> state. The given state is donated.

Examples lie whole on every device, or are split over the mesh's devices along their rows; rows then count within a
device. The steps end before the first one whose loss, gradient or new params are not finite; `state.step` says where.
"""


def make_train_steps(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    skip_nonfinite: bool = False,
    average: Average | None = None,
) -> TrainSteps:
    """Returns a compiled function that trains any number of steps within one epoch.

    It compiles once, since the number of steps is traced. The objective's key is the run's key with the step folded in;
    what is drawn from it does not depend on JAX's global settings (see `fixed_draws`).

    Args:
        objective: (params, batch, key) -> `Sums` over the batch's examples. It is called once per shard, with the same
            key; fold an example's number (`batch.number`) into it before drawing.
        optimizer: of Optax. One that needs more than the gradient also gets `value` (the batch's mean loss), `grad` and
            `value_fn` (params -> mean loss of the same batch with the same noise), by these names.
        mesh: the devices, as `make_mesh` returns them.
        skip_nonfinite: skips and counts steps whose loss, gradient or new params are not finite. By default, the steps
            end before such a step.
        average: of the params, kept in `state.average`, such as `exponential_average(0.999)`.

    Returns:
        (state, examples, the epoch's batches, the run's key, number of steps) -> state. The given state is donated.

    Raises:
        ValueError: when the steps are first taken: the objective does not return `Sums` of numbers, or the optimizer
            needs another argument; names it.

    >>> import jax, jax.numpy as jnp, numpy as np, optax
    >>> from recurrent.training import Sums, epoch_batches, init_state, make_mesh, make_train_steps, stream
    >>> def objective(params, batch, key):  # fits a mean
    ...     errors = (batch.examples - params) ** 2
    ...     return Sums(loss=errors @ batch.weight, weight=batch.weight.sum())
    >>> optimizer = optax.sgd(0.5)
    >>> steps = make_train_steps(objective, optimizer, make_mesh(num_shards=1))
    >>> batches = epoch_batches(seed=0, epoch=0, num_examples=3, batch_size=3, num_shards=1)
    >>> state = init_state(jnp.zeros(()), optimizer, metrics=[])
    >>> state = steps(state, jnp.array([1.0, 2.0, 6.0]), batches, stream(0, "noise"), jnp.int32(1))
    >>> state.params, state.step
    (Array(3., dtype=float32), Array(1, dtype=int32))
    """
    rule = Rule(objective, optax.with_extra_args_support(optimizer), skip_nonfinite, average)
    everywhere, by_shard = PartitionSpec(), PartitionSpec(None, AXIS)

    def compile_for(examples_lie: PartitionSpec) -> TrainSteps:
        steps = jax.shard_map(
            rule.take_steps,
            mesh=mesh,
            in_specs=(everywhere, examples_lie, by_shard, everywhere, everywhere),
            out_specs=everywhere,
            check_vma=False,  # every device computes the same update from the same gathered sums
        )
        return jax.jit(steps, donate_argnums=0)

    on_all, of_own_shards = compile_for(everywhere), compile_for(PartitionSpec(AXIS))

    def take_steps(state: TrainState, examples: Any, batches: Batches, key: RandomKey, count: Array) -> TrainState:
        compiled = of_own_shards if is_split(examples) else on_all
        with fixed_draws():
            return compiled(state, examples, batches, key, count)

    return take_steps


@dataclass(frozen=True)
class Rule:
    """How a step is taken, within `jax.shard_map`, where each device has its own shards of a batch."""

    objective: Objective
    optimizer: optax.GradientTransformationExtraArgs
    skip_nonfinite: bool
    average: Average | None

    def take_steps(
        self, state: TrainState, examples: Any, batches: Batches, key: RandomKey, count: Array
    ) -> TrainState:
        """Takes a number of steps of one epoch, or fewer where one is not finite."""
        end = state.step + count
        is_open = jnp.ones((), jnp.bool_)
        return jax.lax.while_loop(
            lambda carry: (carry[0].step < end) & carry[1],
            lambda carry: self.advance(carry[0], examples, batches, key),
            (state, is_open),
        )[0]

    def advance(
        self, state: TrainState, examples: Any, batches: Batches, key: RandomKey
    ) -> tuple[TrainState, Bool[Array, ""]]:
        """Takes one step, and says whether another may follow."""
        batch_number = state.step % len(batches.rows)
        batch = jax.tree.map(lambda part: jax.lax.dynamic_index_in_dim(part, batch_number, keepdims=False), batches)
        number = batch.rows if batch.number is None else batch.number
        loss = BatchLoss(
            self.objective, examples, batch.rows, batch.weight, number, jax.random.fold_in(key, state.step)
        )
        found = loss.differentiate(state.params)
        _refuse_other_metrics(list(found.sums.metrics), list(state.sums.metrics))
        updates, optimizer_state = _update(self.optimizer, found, state, loss.value)
        is_first = batch_number == 0 if batch.is_first is None else batch.is_first[0]
        old_sums, old_residue = (
            jax.tree.map(lambda sum: jnp.where(is_first, jnp.zeros_like(sum), sum), each)
            for each in (state.sums, state.residue)
        )
        sums, residue = add(old_sums, old_residue, found.sums)
        params: Any = optax.apply_updates(state.params, updates)
        taken = TrainState(
            params=params,
            optimizer_state=optimizer_state,
            step=state.step + 1,
            sums=sums,
            skipped=state.skipped,
            residue=residue,
            average=() if self.average is None else _moved(state.average, params, self.average(state.step)),
        )
        is_finite = found.is_finite & stays_finite(state, taken)
        if self.skip_nonfinite:
            passed = state._replace(step=state.step + 1, sums=old_sums, skipped=state.skipped + 1, residue=old_residue)
            return choose(is_finite, taken, passed), jnp.ones_like(is_finite)
        return choose(is_finite, taken, state), is_finite


def _refuse_other_metrics(returned: list[str], expected: list[str]) -> None:
    if sorted(returned) != sorted(expected):
        raise ValueError(
            f"The objective returns the metrics {returned}, and the state was made for {expected}: "
            f"init_state(params, optimizer, metrics={returned}) makes one that fits."
        )


def _update(
    optimizer: optax.GradientTransformationExtraArgs,
    found: Gradient,
    state: TrainState,
    value_fn: Callable[[Any], Array],
) -> tuple[Any, Any]:
    """Returns the optimizer's updates and its new state.

    Raises:
        ValueError: it needs an argument that training does not have.
    """
    known = {"value": mean_loss(found.sums), "grad": found.gradient, "value_fn": value_fn}
    try:
        return optimizer.update(found.gradient, state.optimizer_state, state.params, **known)
    except TypeError as error:
        missing = re.search(r"missing \d+ required .*argument.*?: (.*)", str(error))
        if missing is None:
            raise
        raise ValueError(
            f"The optimizer needs {missing[1]}, which training can't pass to it; it passes {', '.join(known)}."
        ) from error


def _moved(average: Any, params: Any, rate: Float[Array, ""]) -> Any:
    """Moves an average towards new params; what is no real number, such as a count, is taken over."""

    def moved(old: Array, new: Array) -> Array:
        return old + rate.astype(old.dtype) * (new - old) if jnp.issubdtype(old.dtype, jnp.floating) else new

    return jax.tree.map(moved, average, params)


def choose(condition: Bool[Array, ""], one: TrainState, other: TrainState) -> TrainState:
    """Returns one state or the other."""
    return jax.tree.map(partial(jnp.where, condition), one, other)
