"""What every contestant is given: sizes, initial weights and data as NumPy arrays, the same for all.

The model is the IMDB benchmark's, `Embedding -> cell -> Dense(1)`, in Keras' layout of the weights; the data are random
words, which cost the same as real ones.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Block", "Contestant", "Task", "Weights", "block", "weights"]

GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}
LEARNING_RATE, DECAY, EPSILON = 1e-3, 0.9, 1e-7


@dataclass(frozen=True)
class Task:
    """Sizes of the comparison."""

    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"
    batch: int = 128
    """Sequences a step."""
    time: int = 500
    """Steps of a sequence."""
    width: int = 32
    """Features of a word, and units of the cell."""
    vocabulary: int = 10_000
    """Words."""
    steps: int = 3
    """Training steps in a row, before it is the next contestant's turn."""


class Weights(NamedTuple):
    """The model's weights, as Keras lays them out."""

    embedding: Float[np.ndarray, "vocab input"]
    input_kernel: Float[np.ndarray, "input gates"]
    recurrent_kernel: Float[np.ndarray, "hidden gates"]
    bias: Float[np.ndarray, "..."]
    head_kernel: Float[np.ndarray, "hidden 1"]
    head_bias: Float[np.ndarray, "1"]


class Block(NamedTuple):
    """The batches of one turn."""

    tokens: Int[np.ndarray, "steps batch time"]
    labels: Float[np.ndarray, "steps batch"]


class Contestant(Protocol):
    """A library at work on a task; built once, in a process of its own."""

    def train(self, block: Block) -> float:
        """Takes a training step with each batch and returns their mean loss; waits until all is done."""
        ...

    def predict(self, block: Block) -> Float[np.ndarray, "batch"]:
        """Returns the logits of the first batch; waits until they are there."""
        ...


def weights(task: Task) -> Weights:
    """Draws weights of the size that Keras' initializers give."""
    draw = np.random.default_rng(0)
    columns = GATES[task.cell] * task.width

    def uniform(limit: float, *shape: int) -> np.ndarray:
        return draw.uniform(-limit, limit, shape).astype(np.float32)

    glorot = (6 / (task.width + columns)) ** 0.5
    return Weights(
        embedding=uniform(0.05, task.vocabulary, task.width),
        input_kernel=uniform(glorot, task.width, columns),
        recurrent_kernel=uniform(glorot, task.width, columns),
        bias=uniform(0.1, *((2, columns) if task.cell == "gru" else (columns,))),
        head_kernel=uniform((6 / (task.width + 1)) ** 0.5, task.width, 1),
        head_bias=np.zeros(1, np.float32),
    )


def block(task: Task, turn: int) -> Block:
    """Draws the batches of a turn."""
    draw = np.random.default_rng([1, turn])
    tokens = draw.integers(0, task.vocabulary, (task.steps, task.batch, task.time), dtype=np.int32)
    return Block(tokens, draw.integers(0, 2, (task.steps, task.batch)).astype(np.float32))
