"""Temporal order (Hochreiter & Schmidhuber 1997, experiment 6a): in which order did two signals occur?

The inputs are noise of four symbols with two signals, each X or Y: the first between 10 % and 20 % of the sequence, the
second between 50 % and 60 %. The target is one of XX, XY, YX and YY. The best memoryless predictor guesses: an accuracy
of 1/4, a cross-entropy of ln 4; a predictor that remembers only the second signal has ln 2.
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
        """From the earliest step of the first signal."""
        return self.length - self.length // 10

    @property
    def baseline(self) -> float:
        """The loss of a guess among the four orders."""
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
