"""Temporal order (Hochreiter & Schmidhuber 1997, experiment 6a): in which order did two signals come?

Noise of four symbols, and in it two signals, X or Y each: the first between a tenth and a fifth of the sequence, the
second between five and six tenths. At the end one of XX, XY, YX and YY is asked for. Whoever remembers nothing guesses:
1/4 right, a cross-entropy of ln 4; whoever remembers the second signal alone is at ln 2.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from experiments.memory.tasks.task import Examples, Task
from recurrent.shapes import RandomKey

__all__ = ["TemporalOrder"]

NUM_NOISE, NUM_SIGNALS = 4, 2


@dataclass(frozen=True)
class TemporalOrder(Task):
    """Sequences of `length` steps."""

    SHORTEST: ClassVar[int] = 10
    INPUT_SIZE: ClassVar[int] = NUM_NOISE + NUM_SIGNALS
    OUTPUT_SIZE: ClassVar[int] = NUM_SIGNALS**2

    @property
    def num_steps(self) -> int:
        """The length."""
        return self.length

    @property
    def lag(self) -> int:
        """From where the first signal may come at the earliest."""
        return self.length - self.length // 10

    @property
    def baseline(self) -> float:
        """A guess among the four orders."""
        return math.log(self.OUTPUT_SIZE)

    def draw(self, key: RandomKey) -> Examples:
        """Draws noise, signals and their places."""
        noise_key, signal_key, first_key, second_key = jax.random.split(key, 4)
        tenths = [self.length * tenth // 10 for tenth in (1, 2, 5, 6)]
        first = jax.random.randint(first_key, (), tenths[0], tenths[1], jnp.int32)
        second = jax.random.randint(second_key, (), tenths[2], tenths[3], jnp.int32)
        signals = jax.random.randint(signal_key, (2,), 0, NUM_SIGNALS, jnp.int32)
        noise = jax.random.randint(noise_key, (self.length,), 0, NUM_NOISE, jnp.int32)
        shown = noise.at[jnp.stack([first, second])].set(NUM_NOISE + signals)
        answer = NUM_SIGNALS * signals[:1] + signals[1:]
        return Examples(jax.nn.one_hot(shown, self.INPUT_SIZE, dtype=jnp.float32), answer)
