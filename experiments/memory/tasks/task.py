"""A memory task: random sequences, and targets that depend on inputs from many steps earlier.

There is no data set: the examples of a step are a pure function of the run's key, the step and the example's number,
computed where they are used. Each task has the loss of the best memoryless predictor in closed form.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recurrent.shapes import RandomKey

__all__ = ["Examples", "Task", "cross_entropy", "draw_batch", "squared_error"]


class Examples(NamedTuple):
    """Sequences, and the targets of their last `num_answers` steps: numbers or class indices."""

    inputs: Float[Array, "*batch time input"]
    targets: Float[Array, "*batch answers"] | Int[Array, "*batch answers"]


@dataclass(frozen=True)
class Task(ABC):
    """The base class of tasks: a task at one length."""

    length: int
    """The gap to bridge, in steps; each task says where it is in the sequence."""

    SHORTEST: ClassVar[int] = 1
    INPUT_SIZE: ClassVar[int]
    OUTPUT_SIZE: ClassVar[int]

    def __post_init__(self) -> None:
        """Raises ValueError for a length that is too short for the task."""
        if self.length < self.SHORTEST:
            name = type(self).__name__
            raise ValueError(f"{name} needs a length of at least {self.SHORTEST}, not {self.length}.")

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """The number of steps of a sequence."""

    @property
    def num_answers(self) -> int:
        """The number of steps, at the end, that have a target."""
        return 1

    @property
    @abstractmethod
    def lag(self) -> int:
        """The maximum number of steps for which anything must be remembered; chrono initialization uses it."""

    @property
    @abstractmethod
    def baseline(self) -> float:
        """The loss of the best memoryless predictor."""

    @property
    def solved_below(self) -> float:
        """The loss below which the task counts as solved."""
        return self.baseline / 10

    @abstractmethod
    def draw(self, key: RandomKey) -> Examples:
        """Draws one sequence."""

    def loss(self, predictions: Float[Array, "*batch answers output"], targets: Any) -> Float[Array, ""]:
        """Returns the mean loss over all predictions: the cross-entropy, unless a task overrides it."""
        return cross_entropy(predictions, targets)


def draw_batch(task: Task, key: RandomKey, step: Int[Array, ""] | int, size: int) -> Examples:
    """Draws the examples of a step, each from the key, the step and its own number."""
    of_step = jax.random.fold_in(key, step)
    return jax.vmap(lambda number: task.draw(jax.random.fold_in(of_step, number)))(jnp.arange(size))


def squared_error(
    predictions: Float[Array, "*batch answers 1"], targets: Float[Array, "*batch answers"]
) -> Float[Array, ""]:
    """Returns the mean squared error."""
    return jnp.mean((predictions[..., 0] - targets) ** 2)


def cross_entropy(
    logits: Float[Array, "*batch answers classes"], targets: Int[Array, "*batch answers"]
) -> Float[Array, ""]:
    """Returns the mean of -log p of the target class."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)
    return -jnp.mean(chosen)
