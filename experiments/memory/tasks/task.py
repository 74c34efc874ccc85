"""What a task of memory is: sequences that are drawn, and an answer that needs what was seen long before.

There is no data set: the examples of a step are a pure function of the run's key, the step and the example's number,
computed where they are used. Each task knows the loss of a predictor that remembers nothing, in closed form.
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
    """Sequences and what is to be answered at their last `num_answers` steps: numbers, or the classes' indices."""

    inputs: Float[Array, "*batch time input"]
    targets: Float[Array, "*batch answers"] | Int[Array, "*batch answers"]


@dataclass(frozen=True)
class Task(ABC):
    """A task at one length; to be derived from."""

    length: int
    """The gap to be bridged, in steps; each task says how it lies in the sequence."""

    SHORTEST: ClassVar[int] = 1
    INPUT_SIZE: ClassVar[int]
    OUTPUT_SIZE: ClassVar[int]

    def __post_init__(self) -> None:
        """Refuses a length at which the task would not be what it is."""
        if self.length < self.SHORTEST:
            name = type(self).__name__
            raise ValueError(f"{name} needs a length of at least {self.SHORTEST}, not {self.length}.")

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """Steps of a sequence."""

    @property
    def num_answers(self) -> int:
        """Steps at the end at which there is something to answer."""
        return 1

    @property
    @abstractmethod
    def lag(self) -> int:
        """The most steps that anything has to be kept for: what chrono initialisation is told."""

    @property
    @abstractmethod
    def baseline(self) -> float:
        """The loss of the best predictor that remembers nothing."""

    @property
    def solved_below(self) -> float:
        """The loss below which the task counts as solved."""
        return self.baseline / 10

    @abstractmethod
    def draw(self, key: RandomKey) -> Examples:
        """Draws one sequence."""

    def loss(self, predictions: Float[Array, "*batch answers output"], targets: Any) -> Float[Array, ""]:
        """Averages over all answers; the cross-entropy, where a task does not say otherwise."""
        return cross_entropy(predictions, targets)


def draw_batch(task: Task, key: RandomKey, step: Int[Array, ""] | int, size: int) -> Examples:
    """Draws the examples of a step: each from the key, the step and its own number alone."""
    of_step = jax.random.fold_in(key, step)
    return jax.vmap(lambda number: task.draw(jax.random.fold_in(of_step, number)))(jnp.arange(size))


def squared_error(
    predictions: Float[Array, "*batch answers 1"], targets: Float[Array, "*batch answers"]
) -> Float[Array, ""]:
    """Averages the squared difference."""
    return jnp.mean((predictions[..., 0] - targets) ** 2)


def cross_entropy(
    logits: Float[Array, "*batch answers classes"], targets: Int[Array, "*batch answers"]
) -> Float[Array, ""]:
    """Averages -log p of the right class."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)
    return -jnp.mean(chosen)
