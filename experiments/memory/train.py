"""Training: Adam on sequences that are drawn anew at every step, a window of steps in one dispatch."""

import math
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

import recurrent
from experiments.memory import model
from experiments.memory.contestants import CONTESTANTS
from experiments.memory.model import Params
from experiments.memory.settings import Recipe
from experiments.memory.tasks import TASKS, Task, draw_batch
from recurrent.shapes import RandomKey
from recurrent.training.signals import Stopped
from recurrent.training.streams import fixed_draws, stream

__all__ = ["WINDOW", "Trained", "keys", "make_task", "train"]

WINDOW = 50
"""Steps whose mean loss is recorded, and says whether the task is solved."""


class Trained(NamedTuple):
    """What became of one training."""

    losses: list[float]  # means over windows
    solved_at: int | None  # steps done when the loss of a window was below the task's threshold; None: never
    seconds: float  # of the wall's clock, compilation included
    before: Params  # of NumPy arrays, which belong to no device
    after: Params


class _Carry(NamedTuple):
    params: Params
    optimizer_state: Any


class _Keys(NamedTuple):
    """What a training draws from."""

    params: RandomKey
    examples: RandomKey
    flow: RandomKey  # sequences on which gradients are looked at


def keys(seed: int) -> _Keys:
    """Returns a stream of the seed for each."""
    return _Keys(stream(seed, "weights"), stream(seed, "examples"), stream(seed, "flow"))


def make_task(recipe: Recipe, length: int) -> Task:
    """Builds the recipe's task at a length.

    Raises:
        ValueError: the length is too short.
    """
    return TASKS[recipe.task](length)


def train(
    recipe: Recipe,
    cell: str,
    length: int,
    seed: int,
    *,
    on_window: Callable[[int, float], None] = lambda step, loss: None,
    should_stop: Callable[[], Any] = lambda: False,
) -> Trained:
    """Trains until the task is solved or the recipe's steps are done.

    Args:
        on_window: is told the steps done and the mean loss of the last of them.
        should_stop: asked between windows.

    Raises:
        FloatingPointError: the loss is no number any more.
        Stopped: it said yes.
    """
    task, drawn, start = make_task(recipe, length), keys(seed), time.perf_counter()
    with fixed_draws():
        before = model.init_params(drawn.params, CONTESTANTS[cell], task, recipe.width)
    carry = _Carry(before, _make_optimizer(recipe.learning_rate, recipe.clip_norm).init(before))
    advance = _make_advance(cell, task, recipe.batch, recipe.learning_rate, recipe.clip_norm)
    losses: list[float] = []
    is_solved, step = False, 0
    while step < recipe.steps and not is_solved:
        if should_stop():
            raise Stopped
        count = min(WINDOW, recipe.steps - step)
        with fixed_draws():
            carry, loss = advance(carry, drawn.examples, jnp.int32(step), jnp.int32(step + count))
        step += count
        losses.append(float(loss))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"{cell} at length {length}: the loss is {losses[-1]} after {step:,} steps.")
        is_solved = losses[-1] < task.solved_below
        on_window(step, losses[-1])
    before, after = jax.device_get((before, carry.params))
    return Trained(losses, step if is_solved else None, time.perf_counter() - start, before, after)


def _make_optimizer(learning_rate: float, clip_norm: float) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(clip_norm), optax.adam(learning_rate))


@cache
def _make_advance(cell: str, task: Task, batch: int, learning_rate: float, clip_norm: float) -> Callable[..., Any]:
    """Compiles the steps from one to another, once for all seeds; the mean of their losses comes with the carry."""
    optimizer = _make_optimizer(learning_rate, clip_norm)
    objective = partial(model.loss, recurrent.CELLS[CONTESTANTS[cell].cell], task=task)

    def take_step(key: RandomKey, step: Int[Array, ""], at: tuple[_Carry, Array]) -> tuple[_Carry, Array]:
        (params, optimizer_state), total = at
        examples = draw_batch(task, key, step, batch)
        loss, gradient = jax.value_and_grad(lambda params: objective(params, examples=examples))(params)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
        updated: Any = optax.apply_updates(params, updates)
        return _Carry(updated, optimizer_state), total + loss

    def advance(
        carry: _Carry, key: RandomKey, first: Int[Array, ""], end: Int[Array, ""]
    ) -> tuple[_Carry, Float[Array, ""]]:
        start = (carry, jnp.zeros(()))
        carry, total = jax.lax.fori_loop(first, end, lambda step, at: take_step(key, step, at), start)
        return carry, total / (end - first).astype(total.dtype)

    return jax.jit(advance)
