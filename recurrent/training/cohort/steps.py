"""The compiled training steps of many runs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Int

from recurrent.training.attempts import choose
from recurrent.training.average import Average
from recurrent.training.batch_loss import Objective
from recurrent.training.cohort.mesh import RUNS
from recurrent.training.finite import finite_leaves
from recurrent.training.mesh import AXIS
from recurrent.training.state import TrainState
from recurrent.training.step import Rule
from recurrent.training.streams import fixed_draws

__all__ = ["CohortSteps", "Runs", "make_cohort_steps"]


class Runs(NamedTuple):
    """What differs between the runs of a cohort: arrays with an axis of runs."""

    state: Any  # TrainState
    batches: Any  # Batches
    key: Any  # RandomKey
    numbers: Any  # what the optimizer is made from
    count: Any  # steps to take
    examples: Any = None  # of each run, where they are read; those of arrays are passed beside


@dataclass(frozen=True)
class CohortSteps:
    """Compiled steps, as `make_cohort_steps` returns them.

    Args:
        take: (runs, examples) -> states. The given states are donated.
        mesh: the devices.
        is_vmapped: whether a device computes its runs side by side, and not one after the other.
        takes_numbers: whether the optimizer is made from a run's numbers.

    >>> import optax
    >>> from recurrent.training import make_cohort_mesh, make_cohort_steps
    >>> mesh = make_cohort_mesh(num_runs=4, num_shards=1)
    >>> make_cohort_steps(lambda params, batch, key: ..., optax.sgd(0.1), mesh, is_vmapped=True).is_vmapped
    True
    """

    take: Callable[[Runs, Any], TrainState]
    mesh: Mesh
    is_vmapped: bool
    takes_numbers: bool = False


def make_cohort_steps(
    objective: Objective,
    optimizer: optax.GradientTransformation | Callable[[Any], optax.GradientTransformation],
    mesh: Mesh,
    skip_nonfinite: bool = False,
    average: Average | None = None,
    is_vmapped: bool | None = None,
) -> CohortSteps:
    """Returns compiled steps for many runs at once; `fit_many` calls them.

    Each run takes the steps that `make_train_steps` would take for it alone. One that meets a number that is not
    finite ends there, and the others go on.

    Args:
        objective: as in `make_train_steps`.
        optimizer: of Optax, or a function that makes it from a run's numbers, such as
            `lambda numbers: optax.sgd(numbers["learning_rate"])`. Runs of different numbers share the program.
        mesh: of `make_cohort_mesh`.
        skip_nonfinite: as in `make_train_steps`.
        average: the same.
        is_vmapped: whether a device computes its runs side by side, by `jax.vmap`, or one after the other. By
            default, accelerators do the former: their units are many. A core of a CPU does the latter, which takes
            the same bits as a run alone.

    Raises:
        ValueError: as from the function of `make_train_steps`, when the steps are first taken.

    >>> import optax
    >>> from recurrent.training import make_cohort_mesh, make_cohort_steps
    >>> steps = make_cohort_steps(
    ...     lambda params, batch, key: ...,
    ...     lambda numbers: optax.sgd(numbers["learning_rate"]),
    ...     make_cohort_mesh(num_runs=8, num_shards=2),
    ... )
    >>> steps.mesh.axis_names
    ('runs', 'data')
    """
    if is_vmapped is None:
        is_vmapped = mesh.devices.flat[0].platform != "cpu"

    def rule(numbers: Any) -> Rule:
        made = optimizer if isinstance(optimizer, optax.GradientTransformation) else optimizer(numbers)
        return Rule(objective, optax.with_extra_args_support(made), skip_nonfinite, average)

    def take_one(examples: Any, run: Runs) -> TrainState:
        examples = examples if run.examples is None else run.examples
        return rule(run.numbers).take_steps(run.state, examples, run.batches, run.key, run.count)

    def local_steps(runs: Runs, examples: Any) -> TrainState:
        if is_vmapped:
            return _side_by_side(rule, runs, examples)
        return jax.lax.map(partial(take_one, examples), runs)

    by_run, by_row = PartitionSpec(RUNS), PartitionSpec(RUNS, AXIS)
    steps = jax.shard_map(
        local_steps,
        mesh=mesh,
        in_specs=(Runs(by_run, PartitionSpec(RUNS, None, AXIS), by_run, by_run, by_run, by_row), PartitionSpec()),
        out_specs=by_run,
        check_vma=False,  # all devices of a run compute the same update from the same gathered sums
    )
    compiled = jax.jit(lambda state, runs, examples: steps(runs._replace(state=state), examples), donate_argnums=0)

    def take(runs: Runs, examples: Any) -> TrainState:
        with fixed_draws():
            return compiled(runs.state, runs._replace(state=None), examples)

    return CohortSteps(take, mesh, is_vmapped, not isinstance(optimizer, optax.GradientTransformation))


def _side_by_side(rule: Callable[[Any], Rule], runs: Runs, examples: Any) -> TrainState:
    """Takes each step for all runs at once; a run that has none left to take keeps its state."""
    ends = runs.state.step + runs.count

    def advance(
        state: TrainState, is_open: Bool[Array, ""], run: Runs, end: Int[Array, ""]
    ) -> tuple[TrainState, Bool[Array, ""]]:
        own = rule(run.numbers)
        had_finite = finite_leaves(state.optimizer_state)
        own_examples = examples if run.examples is None else run.examples
        taken, _, is_finite = own.advance(state, had_finite, own_examples, run.batches, run.key)
        goes_on, kept = is_open & (state.step < end), state
        if own.skip_nonfinite:
            kept, is_finite = choose(goes_on, own.pass_over(state, run.batches), state), is_finite | goes_on
        return choose(goes_on & is_finite, taken, kept), jnp.where(goes_on, is_finite, is_open)

    def advance_all(carry: tuple[TrainState, Bool[Array, "runs"]]) -> tuple[TrainState, Bool[Array, "runs"]]:
        return jax.vmap(advance)(*carry, runs._replace(state=None), ends)

    return jax.lax.while_loop(
        lambda carry: jnp.any((carry[0].step < ends) & carry[1]), advance_all, (runs.state, jnp.ones_like(ends, bool))
    )[0]
