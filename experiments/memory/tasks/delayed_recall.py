"""Delayed recall: one symbol, then k steps of noise; the target is the symbol.

It is the simplest memory task (similar to the first long-lag task of Hochreiter & Schmidhuber 1997). The first step has
one of eight symbols; each of the k others has one of eight fillers at random. The best memoryless predictor guesses:
an accuracy of 1/8, a cross-entropy of ln 8.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from experiments.memory.tasks.task import Examples, Task
from recurrent.shapes import RandomKey

__all__ = ["DelayedRecall"]

NUM_SYMBOLS, NUM_FILLERS = 8, 8


@dataclass(frozen=True)
class DelayedRecall(Task):
    """Sequences of `length` + 1 steps: `length` is k."""

    INPUT_SIZE: ClassVar[int] = NUM_SYMBOLS + NUM_FILLERS
    OUTPUT_SIZE: ClassVar[int] = NUM_SYMBOLS

    @property
    def num_steps(self) -> int:
        """The step of the symbol plus k."""
        return self.length + 1

    @property
    def lag(self) -> int:
        """From the first step to the last."""
        return self.length

    @property
    def baseline(self) -> float:
        """The loss of a guess among all symbols."""
        return math.log(NUM_SYMBOLS)

    def draw(self, key: RandomKey) -> Examples:
        """Draws the symbol and the fillers."""
        symbol_key, filler_key = jax.random.split(key)
        symbol = jax.random.randint(symbol_key, (1,), 0, NUM_SYMBOLS, jnp.int32)
        fillers = jax.random.randint(filler_key, (self.length,), NUM_SYMBOLS, self.INPUT_SIZE, jnp.int32)
        shown = jnp.concatenate([symbol, fillers])
        return Examples(jax.nn.one_hot(shown, self.INPUT_SIZE, dtype=jnp.float32), symbol)
