"""Copy memory (Hochreiter & Schmidhuber 1997; in this form Arjovsky, Shah & Bengio 2016).

    steps      10          T - 1       1        10
    input      symbols     blanks      "now"    blanks
    target     blanks      blanks      blank    the symbols

Ten symbols, each one of eight, must be repeated in order after T blanks; every step has a target. The best memoryless
predictor predicts the blanks correctly and guesses ten times among eight: 10 ln 8 / (T + 20) per step.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from experiments.memory.tasks.task import Examples, Task
from recurrent.shapes import RandomKey

__all__ = ["CopyMemory"]

NUM_SYMBOLS, NUM_COPIED = 8, 10
BLANK, NOW = NUM_SYMBOLS, NUM_SYMBOLS + 1


@dataclass(frozen=True)
class CopyMemory(Task):
    """Sequences of `length` + 20 steps."""

    INPUT_SIZE: ClassVar[int] = NUM_SYMBOLS + 2
    OUTPUT_SIZE: ClassVar[int] = NUM_SYMBOLS + 1

    @property
    def num_steps(self) -> int:
        """The length plus ten steps at each end."""
        return self.length + 2 * NUM_COPIED

    @property
    def num_answers(self) -> int:
        """Every step has a target."""
        return self.num_steps

    @property
    def lag(self) -> int:
        """From a symbol to its repetition."""
        return self.length + NUM_COPIED

    @property
    def baseline(self) -> float:
        """The loss of predicting the blanks with certainty and guessing ten times."""
        return NUM_COPIED * math.log(NUM_SYMBOLS) / self.num_steps

    def draw(self, key: RandomKey) -> Examples:
        """Draws the symbols."""
        symbols = jax.random.randint(key, (NUM_COPIED,), 0, NUM_SYMBOLS, jnp.int32)
        blanks = jnp.full(self.num_steps, BLANK, jnp.int32)
        shown = blanks.at[:NUM_COPIED].set(symbols).at[-NUM_COPIED - 1].set(NOW)
        inputs = jax.nn.one_hot(shown, self.INPUT_SIZE, dtype=jnp.float32)
        return Examples(inputs, blanks.at[-NUM_COPIED:].set(symbols))
