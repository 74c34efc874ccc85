"""The adding problem (Hochreiter & Schmidhuber 1997; in this form Le, Jaitly & Hinton 2015).

Each step has a number from U[0, 1] and a mark. Two steps are marked, one in each half of the sequence; the target is
the sum of their numbers, at the last step. The best memoryless predictor always predicts 1; its mean squared error is
the variance of the sum of two such numbers: 2/12 = 1/6.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from experiments.memory.tasks.task import Examples, Task, squared_error
from recurrent.shapes import RandomKey

__all__ = ["Adding"]


@dataclass(frozen=True)
class Adding(Task):
    """Sequences of `length` steps."""

    SHORTEST: ClassVar[int] = 2
    INPUT_SIZE: ClassVar[int] = 2
    OUTPUT_SIZE: ClassVar[int] = 1

    @property
    def num_steps(self) -> int:
        """The length."""
        return self.length

    @property
    def lag(self) -> int:
        """From the first step to the last."""
        return self.length

    @property
    def baseline(self) -> float:
        """The error of always predicting 1."""
        return 1 / 6

    @property
    def solved_below(self) -> float:
        """A root mean squared error of 0.1, in a sum of up to 2."""
        return 0.01

    def draw(self, key: RandomKey) -> Examples:
        """Draws numbers and marks."""
        value_key, first_key, second_key = jax.random.split(key, 3)
        values = jax.random.uniform(value_key, (self.length,), jnp.float32)
        first = jax.random.randint(first_key, (), 0, self.length // 2, jnp.int32)
        second = jax.random.randint(second_key, (), self.length // 2, self.length, jnp.int32)
        marks = jnp.zeros_like(values).at[jnp.stack([first, second])].set(1)
        return Examples(jnp.stack([values, marks], axis=-1), (values[first] + values[second])[None])

    def loss(
        self, predictions: Float[Array, "*batch answers 1"], targets: Float[Array, "*batch answers"]
    ) -> Float[Array, ""]:
        """Returns the mean squared error."""
        return squared_error(predictions, targets)
