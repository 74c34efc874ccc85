"""Training: Adam on sequences that are newly drawn at every step, with a window of steps in one dispatch."""

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
from experiments.memory.settings import Settings
from experiments.memory.tasks import TASKS, Task, draw_batch
from recurrent.shapes import RandomKey
from recurrent.training.signals import Stopped
from recurrent.training.streams import fixed_draws, stream

__all__ = ["WINDOW", "Trained", "check_lengths", "keys", "make_task", "train"]

WINDOW = 50
"""Number of steps whose mean loss is recorded. The task is solved when this mean is below the task's threshold."""


class Trained(NamedTuple):
    """The result of one training."""

    losses: list[float]  # means over windows
    solved_at: int | None  # steps done when a window's loss was below the threshold; None: never
    seconds: float  # wall-clock time, including compilation
    before: Params  # NumPy arrays, which are on no device
    after: Params


class _Carry(NamedTuple):
    params: Params
    optimizer_state: Any


class _Keys(NamedTuple):
    """The keys of a training."""

    params: RandomKey
    examples: RandomKey
    flow: RandomKey  # of the sequences on which gradients are measured


def keys(seed: int) -> _Keys:
    """Returns the keys of a seed."""
    return _Keys(stream(seed, "weights"), stream(seed, "examples"), stream(seed, "flow"))


def make_task(settings: Settings, length: int) -> Task:
    """Returns the task at a length.

    Raises:
        ValueError: the length is too short.
    """
    return TASKS[settings.task](length)


def check_lengths(settings: Settings) -> None:
    """Raises ValueError for a length that is too short for the task."""
    for length in settings.lengths:
        make_task(settings, length)


def train(
    settings: Settings,
    cell: str,
    length: int,
    seed: int,
    *,
    on_window: Callable[[int, float], None] = lambda step, loss: None,
    should_stop: Callable[[], Any] = lambda: False,
) -> Trained:
    """Trains until the task is solved or the steps are done.

    Args:
        settings: of the measurement.
        cell: the name of a contestant.
        length: of the task.
        seed: of params and examples.
        on_window: called after each window with the steps done and the window's mean loss.
        should_stop: asked between windows.

    Raises:
        FloatingPointError: the loss is NaN or infinite.
        Stopped: `should_stop` returned true.
    """
    task, drawn, start = make_task(settings, length), keys(seed), time.perf_counter()
    with fixed_draws():
        before = model.init_params(drawn.params, CONTESTANTS[cell], task, settings.width)
    carry = _Carry(before, _make_optimizer(settings.learning_rate, settings.clip_norm).init(before))
    advance = _make_advance(cell, task, settings.batch, settings.learning_rate, settings.clip_norm)
    losses: list[float] = []
    is_solved, step = False, 0
    while step < settings.steps and not is_solved:
        if should_stop():
            raise Stopped
        count = min(WINDOW, settings.steps - step)
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
    """Compiles a window of steps, once for all seeds; returns the carry and the mean loss."""
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
