"""The compiled training step: many steps in one dispatch, with the same bits for any number of devices and dispatches.

A batch is cut into a number of shards that does not depend on the machine; see `batch_loss`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from recurrent.shapes import RandomKey
from recurrent.training.attempts import Advanced, take_steps
from recurrent.training.average import Average
from recurrent.training.batch_loss import BatchLoss, Gradient, Objective, mean_loss
from recurrent.training.chunk import is_split
from recurrent.training.finite import finite_leaves
from recurrent.training.layout import WHOLE, Layout
from recurrent.training.mesh import AXIS, check_mesh
from recurrent.training.objective import Sums, add
from recurrent.training.order import Batches
from recurrent.training.state import TrainState
from recurrent.training.streams import fixed_draws

__all__ = ["Objective", "Rule", "TrainSteps", "make_train_steps"]

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
        mesh: the devices, as `make_mesh` returns them; or one with further axes of type Auto, over which params may be
            split. An objective may use `jax.shard_map` along those.
        skip_nonfinite: skips and counts steps whose loss, metrics, gradient or new params are not finite. By default,
            the steps end before such a step.
        average: of the params, kept in `state.average`, such as `exponential_average(0.999)`.

    Returns:
        (state, examples, the epoch's batches, the run's key, number of steps) -> state. The given state is donated.

    Raises:
        ValueError: when steps are taken: the objective does not return `Sums` of numbers, the optimizer needs another
            argument (named), or the state was donated before or does not fit `average`. Or the mesh has no axis `data`,
            or axes of another type.

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
    check_mesh(mesh)
    extended = optax.with_extra_args_support(optimizer)
    everywhere, by_shard = PartitionSpec(), PartitionSpec(None, AXIS)

    @cache
    def compile_for(examples_lie: PartitionSpec, layout: Layout) -> TrainSteps:
        steps = jax.shard_map(
            Rule(objective, extended, skip_nonfinite, average, layout).take_steps,
            mesh=mesh,
            in_specs=(everywhere, examples_lie, by_shard, everywhere, everywhere),
            out_specs=everywhere,
            axis_names={AXIS},
            check_vma=False,  # every device computes the same update from the same gathered sums
        )
        return jax.jit(steps, donate_argnums=0, out_shardings=layout.state)

    def steps(state: TrainState, examples: Any, batches: Batches, key: RandomKey, count: Array) -> TrainState:
        _check_state(state, has_average=average is not None)
        compiled = compile_for(PartitionSpec(AXIS) if is_split(examples) else everywhere, Layout.of(state, mesh))
        with fixed_draws():
            return compiled(state, examples, batches, key, count)

    return steps


def _check_state(state: TrainState, has_average: bool) -> None:
    arrays = [leaf for leaf in jax.tree.leaves(state) if isinstance(leaf, jax.Array)]
    if any(leaf.is_deleted() for leaf in arrays if not isinstance(leaf, jax.core.Tracer)):
        raise ValueError(
            "An array of the state was overwritten: steps overwrite the state that they get, and the arrays that it "
            "shares with others, such as the state that `replicate` got. Go on with the state that they return."
        )
    if has_average == (isinstance(state.average, tuple) and not state.average):
        raise ValueError(
            f"The state was made with has_average={not has_average}, and these steps need {has_average}: "
            f"init_state(params, optimizer, has_average={has_average}) makes one that fits."
        )


@dataclass(frozen=True)
class Rule:
    """How a step is taken, within `jax.shard_map`, where each device has its own shards of a batch."""

    objective: Objective
    optimizer: optax.GradientTransformationExtraArgs
    skip_nonfinite: bool
    average: Average | None
    layout: Layout = WHOLE

    def take_steps(
        self, state: TrainState, examples: Any, batches: Batches, key: RandomKey, count: Array
    ) -> TrainState:
        """Takes a number of steps of one epoch, or fewer where one is not finite."""
        keep = self.layout.keep

        def advance(state: TrainState, had_finite: Bool[Array, "leaves"]) -> Advanced:
            advanced = self.advance(keep(state), had_finite, examples, batches, key)
            return advanced._replace(state=keep(advanced.state))

        def pass_over(state: TrainState) -> TrainState:
            return keep(self.pass_over(state, batches))

        return take_steps(advance, pass_over if self.skip_nonfinite else None, keep(state), count)

    def advance(
        self, state: TrainState, had_finite: Bool[Array, "leaves"], examples: Any, batches: Batches, key: RandomKey
    ) -> Advanced:
        """Takes one step, finite or not."""
        batch = _batch_at(batches, state.step)
        number = batch.rows if batch.number is None else batch.number
        key = jax.random.fold_in(key, state.step)
        loss = BatchLoss(self.objective, examples, batch.rows, batch.weight, number, key, self.layout)
        found = loss.differentiate(state.params)
        _refuse_other_metrics(list(found.sums.metrics), list(state.sums.metrics))
        updates, optimizer_state = _update(self.optimizer, found, state, loss.value)
        sums, residue = add(*_sums_before(state, batches), found.sums)
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
        # An optimizer's state may hold infinities by design.
        has_finite = finite_leaves(taken.optimizer_state)
        is_finite = found.is_finite & jnp.all(finite_leaves(params)) & jnp.all(has_finite | ~had_finite)
        return Advanced(taken, has_finite, is_finite)

    def pass_over(self, state: TrainState, batches: Batches) -> TrainState:
        """Counts the step that comes next as one that is not taken."""
        sums, residue = _sums_before(state, batches)
        return state._replace(step=state.step + 1, sums=sums, skipped=state.skipped + 1, residue=residue)


def _batch_at(batches: Batches, step: Int[Array, ""]) -> Any:
    """Returns the batch of a step, `Batches` without the axis of batches."""
    number = step % len(batches.rows)
    return jax.tree.map(lambda part: jax.lax.dynamic_index_in_dim(part, number, keepdims=False), batches)


def _sums_before(state: TrainState, batches: Batches) -> tuple[Sums, Sums]:
    """Returns the epoch's sums so far with their residue: zeros at its first step."""
    is_first = state.step % len(batches.rows) == 0
    if batches.is_first is not None:
        is_first = _batch_at(batches, state.step).is_first[0]
    return jax.tree.map(lambda sum: jnp.where(is_first, jnp.zeros_like(sum), sum), (state.sums, state.residue))


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
