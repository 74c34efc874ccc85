"""Delayed recall: one symbol, then k steps of something else, then the question which it was.

The least that a memory can do (the first of the long-lag tasks of Hochreiter & Schmidhuber 1997 is its like). The first
step shows one of eight symbols; the k others show one of eight fillers each, at random, which say nothing. Whoever
remembers nothing guesses: 1/8 right, a cross-entropy of ln 8.
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
        """The symbol's, and k more."""
        return self.length + 1

    @property
    def lag(self) -> int:
        """From the first step to the last."""
        return self.length

    @property
    def baseline(self) -> float:
        """A guess among all symbols."""
        return math.log(NUM_SYMBOLS)

    def draw(self, key: RandomKey) -> Examples:
        """Draws the symbol and the fillers."""
        symbol_key, filler_key = jax.random.split(key)
        symbol = jax.random.randint(symbol_key, (1,), 0, NUM_SYMBOLS, jnp.int32)
        fillers = jax.random.randint(filler_key, (self.length,), NUM_SYMBOLS, self.INPUT_SIZE, jnp.int32)
        shown = jnp.concatenate([symbol, fillers])
        return Examples(jax.nn.one_hot(shown, self.INPUT_SIZE, dtype=jnp.float32), symbol)
