"""Recipes: all that a measurement's numbers depend on, as values, each with its command and its result."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from experiments.memory.contestants import CONTESTANTS, look_up

__all__ = ["RECIPES", "TASK_NAMES", "Recipe"]

TASK_NAMES = ("adding", "copy", "recall", "order")


@dataclass(frozen=True)
class Recipe:
    """Which cells learn which task at which lengths, and how they are trained."""

    task: str = "adding"
    """What is to be remembered: adding, copy, recall or order."""
    lengths: tuple[int, ...] = (50, 100, 200, 400)
    """Gaps to be bridged, in steps."""
    cells: tuple[str, ...] = ("simple_rnn", "lstm", "lstm_chrono", "gru", "gru_chrono")
    """Contestants: names of recurrent.CELLS, and lstm_chrono and gru_chrono, whose gates know the length."""
    seeds: int = 2
    """Trainings of each, from seed 0 on."""
    steps: int = 4000
    """Training steps at most; a training ends when the task is solved."""
    width: int = 32
    """Units of a cell."""
    batch: int = 64
    """Sequences a step."""
    learning_rate: float = 2e-3
    """Adam's."""
    clip_norm: float = 1.0
    """Scales gradients down to this global norm."""

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be; writes names as they are known, and nothing twice."""
        cells = dict.fromkeys(look_up("cell", name, CONTESTANTS) for name in self.cells)
        object.__setattr__(self, "task", look_up("task", self.task, TASK_NAMES))
        object.__setattr__(self, "cells", tuple(cells))
        object.__setattr__(self, "lengths", tuple(sorted(set(self.lengths))))
        for name in ("seeds", "steps", "width", "batch", "learning_rate", "clip_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, not {getattr(self, name)}.")
        if not self.lengths or not self.cells:
            raise ValueError("Which lengths, and which cells? There must be one of each at least.")


def adding() -> Recipe:
    """The adding problem from 50 to 400 steps: `scripts/memory`.

    Training steps until solved, mean of two seeds, at 50 / 100 / 200 / 400 steps: LSTM 1,375 / 2,175 / 3,900 / never,
    chrono LSTM 1,250 / 1,400 / 1,600 / 1,700, GRU 750 / 950 / 1,150 / 1,500, chrono GRU 675 / 800 / 950 / 1,125.
    SimpleRNN never: its error stays at 0.034 / 0.154 / 0.166 / 0.168, where "always 1" has 0.167.
    631 s on two cores of an AMD EPYC (AVX2), jax 0.10.2 (2026-11-24).
    """
    return Recipe()


def adding_200() -> Recipe:
    """The same at 200 steps alone: `scripts/memory --lengths 200`.

    Solved after 3,850 and 3,950 training steps (LSTM), 1,650 and 1,550 (chrono LSTM), 1,150 and 1,150 (GRU), 900 and
    1,000 (chrono GRU); SimpleRNN stays at 0.168 and 0.166 (means over its last 250 steps). A half of the gradient is
    lost every 9.9 steps of a new SimpleRNN, every 3.1 of a trained one, every 4.0 along the memory of a new LSTM and
    every 48 of a trained one; along that of a trained chrono LSTM it does not fall. Measured in the course of `adding`.
    """
    return dataclasses.replace(adding(), lengths=(200,))


def adding_400() -> Recipe:
    """The same at 400 steps alone: `scripts/memory --lengths 400`.

    Solved after 1,800 and 1,600 training steps (chrono LSTM), 1,400 and 1,600 (GRU), 1,100 and 1,150 (chrono GRU);
    in 4,000 steps SimpleRNN and LSTM stay at 0.168 and 0.167. A half of the gradient is lost every 10.2 steps of a new
    SimpleRNN, every 2.3 of a trained one, and every 4.6 along the memory of the LSTM that did not learn it; along that
    of the chrono LSTM it does not fall, and in a trained GRU 2,400 steps halve it. Measured in the course of `adding`.
    """
    return dataclasses.replace(adding(), lengths=(400,))


def copy() -> Recipe:
    """Ten symbols over 50 blanks: `scripts/memory --task copy`.

    Not solved in 6,000 training steps, but begun by all that have gates: where whoever remembers nothing has a
    cross-entropy of 0.2971, SimpleRNN has 0.297, LSTM 0.276, chrono LSTM 0.223, GRU 0.240 and chrono GRU 0.246, means
    of two seeds over the last 50 steps.
    485 s of processor time, 453 s by the clock, on two shared cores of an AMD EPYC (AVX2); jax 0.10.2 (2026-11-24).
    """
    return Recipe(task="copy", lengths=(50,), steps=6000)


def recall() -> Recipe:
    """One symbol, 50 to 200 steps back: `scripts/memory --task recall`.

    Solved at 50 / 100 / 200 steps after 275 / 350 / 500 training steps (chrono LSTM) and 325 / 425 / 525 (chrono GRU),
    means of two seeds. SimpleRNN, LSTM and GRU are at ln 8 = 2.08 at every length after 4,000.
    814 s of processor time, 500 s by the clock, on two shared cores of an AMD EPYC (AVX2); jax 0.10.2 (2026-11-24).
    """
    return Recipe(task="recall", lengths=(50, 100, 200))


def order() -> Recipe:
    """The order of two signals in 50 to 200 steps: `scripts/memory --task order`.

    Solved at 50 / 100 / 200 steps after 225 / 300 / 400 training steps (chrono LSTM), 225 / 300 / 375 (chrono GRU),
    350 / 1,275 / never (LSTM), 675 / never / never (GRU) and 800 / never / never (SimpleRNN), means of two seeds; never
    is within 4,000, with a cross-entropy of ln 4 = 1.387 left, or 0.845 (SimpleRNN at 100 steps, one seed at 0.30).
    645 s of processor time, 571 s by the clock, on two shared cores of an AMD EPYC (AVX2); jax 0.10.2 (2026-11-24).
    """
    return Recipe(task="order", lengths=(50, 100, 200))


RECIPES: MappingProxyType[str, Callable[[], Recipe]] = MappingProxyType(
    {"adding": adding, "copy": copy, "recall": recall, "order": order}
)
"""The recipe that a task has if nothing else is said."""
