"""The inputs of every contestant: sizes, initial weights and data as NumPy arrays, the same for all.

The model is the IMDB benchmark's, `Embedding -> cell -> Dense(1)`, with Keras' layout of the weights. The words are
random and equally frequent, so they recur less often in a batch than real ones. The lengths of sequences are drawn from
those of real reviews.
"""

# Annotations are not evaluated: a Python with only TensorFlow, NumPy and Keras must be able to import this.
from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float, Int

__all__ = [
    "DECAY",
    "EPSILON",
    "GATES",
    "LEARNING_RATE",
    "PADDING_ID",
    "REVIEW_LENGTHS",
    "REVIEW_TIME",
    "Block",
    "Contestant",
    "Task",
    "Weights",
    "block",
    "cell_params",
    "pad_behind",
    "sequence_lengths",
    "weights",
]

GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}
LEARNING_RATE, DECAY, EPSILON = 1e-3, 0.9, 1e-7
PADDING_ID = 0
REVIEW_LENGTHS = Path(__file__).with_name("review_lengths.npy")
REVIEW_TIME = 500
"""The length to which the reviews of that file are cut."""


@dataclass(frozen=True)
class Task:
    """Sizes of the comparison, and what padding means."""

    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"
    batch: int = 128
    """Sequences per step."""
    time: int = 500
    """Steps of a sequence, including padding."""
    width: int = 32
    """Features of a word, and units of the cell."""
    vocabulary: int = 10_000
    """Words."""
    steps: int = 3
    """Training steps per turn."""
    lengths: Literal["full", "reviews"] = "reviews"
    """full: no padding. reviews: as long as real reviews, the rest is padding."""
    padding: Literal["keras", "masked"] = "keras"
    """What padding (id 0, in front) means. keras: input, Keras' default. masked: skipped."""
    start: Literal["tuned", "default"] = "tuned"
    """tuned: JAX as the scripts start it, with flags and each core a device. default: as it comes."""

    def __post_init__(self) -> None:
        """Raises ValueError for sizes that are too small."""
        sizes = {name: getattr(self, name) for name in ("batch", "time", "width", "steps")}
        if min(sizes.values()) < 1 or self.vocabulary < 2:
            raise ValueError(f"Sizes must be at least 1, and the vocabulary 2: {sizes}, vocabulary {self.vocabulary}.")


class Weights(NamedTuple):
    """The model's weights, in Keras' layout."""

    embedding: Float[np.ndarray, "vocab input"]
    input_kernel: Float[np.ndarray, "input gates"]
    recurrent_kernel: Float[np.ndarray, "hidden gates"]
    bias: Float[np.ndarray, "..."]
    head_kernel: Float[np.ndarray, "hidden 1"]
    head_bias: Float[np.ndarray, "1"]


class Block(NamedTuple):
    """The batches of one turn, in both layouts, so that no contestant has to move padding while it is timed."""

    tokens: Int[np.ndarray, "steps batch time"]  # padding in front
    words_first: Int[np.ndarray, "steps batch time"]  # the same sequences with padding behind
    lengths: Int[np.ndarray, "steps batch"]  # words, without padding; at least 1
    labels: Float[np.ndarray, "steps batch"]


class Contestant(Protocol):
    """A library that runs a task; built once, in a process of its own."""

    def train(self, block: Block) -> float:
        """Takes a training step with each batch, waits for the last, and returns their mean loss."""
        ...

    def predict(self, block: Block) -> Float[np.ndarray, "batch"]:
        """Returns the logits of the first batch, computed."""
        ...


def weights(task: Task) -> Weights:
    """Returns random weights in the range of Keras' initializers."""
    draw = np.random.default_rng(0)
    columns = GATES[task.cell] * task.width

    def uniform(limit: float, *shape: int) -> np.ndarray:
        return draw.uniform(-limit, limit, shape).astype(np.float32)

    glorot = (6 / (task.width + columns)) ** 0.5
    return Weights(
        embedding=uniform(0.05, task.vocabulary, task.width),
        input_kernel=uniform(glorot, task.width, columns),
        # With a SimpleRNN's exploding gradients, rounding alone would make the losses differ.
        recurrent_kernel=uniform(glorot / 2 if task.cell == "simple_rnn" else glorot, task.width, columns),
        bias=uniform(0.1, *((2, columns) if task.cell == "gru" else (columns,))),
        head_kernel=uniform((6 / (task.width + 1)) ** 0.5, task.width, 1),
        head_bias=np.zeros(1, np.float32),
    )


def cell_params(task: Task, weights: Weights) -> Any:
    """Returns the cell's weights as its params."""
    from recurrent import CELLS  # not above: see the annotations

    cells: Mapping[str, Any] = CELLS
    return cells[task.cell].Params(weights.input_kernel, weights.recurrent_kernel, weights.bias)


def block(task: Task, turn: int) -> Block:
    """Returns the batches of a turn."""
    draw = np.random.default_rng([1, turn])
    shape = (task.steps, task.batch)
    lengths = draw.choice(sequence_lengths(task), shape)
    tokens = draw.integers(PADDING_ID + 1, task.vocabulary, (*shape, task.time), dtype=np.int32)
    tokens[np.arange(task.time) < (task.time - lengths)[..., None]] = PADDING_ID
    return Block(tokens, pad_behind(tokens, lengths), lengths, draw.integers(0, 2, shape).astype(np.float32))


def sequence_lengths(task: Task) -> Int[np.ndarray, "_"]:
    """Returns the lengths from which those of a task's sequences are drawn.

    Lengths of reviews are cut to 500 words. For another `time` they are scaled and rounded up, so that the share of
    padding stays the same.
    """
    if task.lengths == "full":
        return np.array([task.time], np.int32)
    return -(-_review_lengths() * task.time // REVIEW_TIME)


@cache
def _review_lengths() -> Int[np.ndarray, "reviews"]:
    return np.load(REVIEW_LENGTHS).astype(np.int32)


def pad_behind(tokens: Int[np.ndarray, "*batch time"], lengths: Int[np.ndarray, "*batch"]) -> np.ndarray:
    """Moves padding from the front to the back."""
    time = tokens.shape[-1]
    positions = np.arange(time) + (time - lengths)[..., None]  # beyond the end, it wraps around into the padding
    return np.take_along_axis(tokens, positions % time, axis=-1)
