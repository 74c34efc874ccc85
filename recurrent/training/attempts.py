"""Takes steps that overwrite their state, and goes back where one was not finite.

Whether a step is finite is known once it was taken, and its state is gone by then. To keep the state before every step
would read and write all params and the whole state of the optimizer once more per step. So only the state at the start
of a call is kept. After a step that is not finite, the steps before it are taken again from there. They have the same
bits wherever sums have a fixed order, which on a GPU takes XLA's deterministic operations.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from recurrent.training.finite import finite_leaves
from recurrent.training.state import TrainState

__all__ = ["Advanced", "choose", "take_steps"]


class Advanced(NamedTuple):
    """The state after a step."""

    state: TrainState
    had_finite: Bool[Array, "leaves"]  # which leaves of the optimizer's state are finite
    is_finite: Bool[Array, ""]  # whether loss, gradient and new params are, and the leaves that were so before


class _Attempt(NamedTuple):
    start: TrainState
    reached: TrainState
    end: Int[Array, ""]  # the step to reach
    is_last: Bool[Array, ""]


def take_steps(
    advance: Callable[[TrainState, Any], Advanced],
    pass_over: Callable[[TrainState], TrainState] | None,
    state: TrainState,
    count: Int[Array, ""],
) -> TrainState:
    """Takes a number of steps.

    Args:
        advance: (state, which leaves of the optimizer's state are finite) -> the state after one step.
        pass_over: returns the state after a step that is not taken since it is not finite; None: the steps end before
            such a step.
        state: before the first step.
        count: how many.
    """
    end = state.step + count

    def attempt(now: _Attempt) -> _Attempt:
        reached, is_finite = _advance_to(advance, now.start, now.end)
        before_bad = jnp.where(is_finite, end, reached.step - 1)
        if pass_over is None:
            return _Attempt(now.start, reached, before_bad, is_finite)
        has_arrived = now.end == end
        start = choose(is_finite & ~has_arrived, pass_over(reached), now.start)
        return _Attempt(start, reached, before_bad, is_finite & has_arrived)

    first = _Attempt(state, state, end, jnp.zeros((), jnp.bool_))
    return jax.lax.while_loop(lambda now: ~now.is_last, attempt, first).reached


def _advance_to(
    advance: Callable[[TrainState, Any], Advanced], start: TrainState, end: Int[Array, ""]
) -> tuple[TrainState, Bool[Array, ""]]:
    """Takes steps up to one that is not finite, which is taken too."""
    first = Advanced(start, finite_leaves(start.optimizer_state), jnp.ones((), jnp.bool_))
    last = jax.lax.while_loop(
        lambda now: (now.state.step < end) & now.is_finite, lambda now: advance(now.state, now.had_finite), first
    )
    return last.state, last.is_finite


def choose(condition: Bool[Array, ""], one: TrainState, other: TrainState) -> TrainState:
    """Returns one state or the other."""
    return jax.tree.map(lambda this, that: jnp.where(condition, this, that), one, other)
