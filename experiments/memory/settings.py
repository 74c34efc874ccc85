"""Settings: all that a measurement's numbers depend on, as values, and those of each task with its results."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from experiments.memory.contestants import CONTESTANTS
from experiments.names import look_up

__all__ = ["DEFAULTS", "TASK_NAMES", "Settings"]

TASK_NAMES = ("adding", "copy", "recall", "order")


@dataclass(frozen=True)
class Settings:
    """Which cells learn which task at which lengths, and how they are trained."""

    task: str = "adding"
    """The task: adding, copy, recall or order."""
    lengths: tuple[int, ...] = (50, 100, 200, 400)
    """Lengths of the gap that a cell must bridge, in steps."""
    cells: tuple[str, ...] = ("simple_rnn", "lstm", "lstm_chrono", "gru", "gru_chrono")
    """Cells to compare: names of recurrent.CELLS, lstm_chrono and gru_chrono (chrono initialization)."""
    seeds: int = 2
    """Trainings of each cell at each length, from seed 0 on."""
    steps: int = 4000
    """Maximum of training steps; a training ends when the task is solved."""
    width: int = 32
    """Units of a cell."""
    batch: int = 64
    """Sequences per training step."""
    learning_rate: float = 2e-3
    """Adam's learning rate."""
    clip_norm: float = 1.0
    """Maximum global norm of the gradient; larger gradients are scaled down."""

    def __post_init__(self) -> None:
        """Checks the values; normalizes names, sorts lengths, removes duplicates."""
        cells = dict.fromkeys(look_up("cell", name, CONTESTANTS) for name in self.cells)
        object.__setattr__(self, "task", look_up("task", self.task, TASK_NAMES))
        object.__setattr__(self, "cells", tuple(cells))
        object.__setattr__(self, "lengths", tuple(sorted(set(self.lengths))))
        for name in ("seeds", "steps", "width", "batch", "learning_rate", "clip_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, not {getattr(self, name)}.")
        if not self.lengths or not self.cells:
            raise ValueError("lengths and cells must each have at least one value.")


def adding() -> Settings:
    """The adding problem from 50 to 400 steps: `scripts/memory`.

    Training steps until solved, mean of two seeds, at 50 / 100 / 200 / 400 steps: LSTM 1,375 / 2,175 / 3,900 / never,
    chrono LSTM 1,250 / 1,400 / 1,600 / 1,700, GRU 750 / 950 / 1,150 / 1,500, chrono GRU 675 / 800 / 950 / 1,125.
    SimpleRNN never: its error stays at 0.034 / 0.154 / 0.166 / 0.168; always predicting 1 gives 0.167.
    631 s on two cores of an AMD EPYC (AVX2), jax 0.10.2 (2026-11-24).
    """
    return Settings()


def copy() -> Settings:
    """Ten symbols over 50 blanks: `scripts/memory --task copy`.

    Not solved in 6,000 training steps, though cells with gates make progress. The cross-entropy of the memoryless
    baseline is 0.2971; SimpleRNN reaches 0.297, LSTM 0.276, chrono LSTM 0.223, GRU 0.240 and chrono GRU 0.246 (means of
    two seeds over the last 50 steps).
    485 s of processor time, 453 s by the clock, on two shared cores of an AMD EPYC (AVX2); jax 0.10.2 (2026-11-24).
    """
    return Settings(task="copy", lengths=(50,), steps=6000)


def recall() -> Settings:
    """One symbol, 50 to 200 steps back: `scripts/memory --task recall`.

    Solved at 50 / 100 / 200 steps after 275 / 350 / 500 training steps (chrono LSTM) and 325 / 425 / 525 (chrono GRU),
    means of two seeds. SimpleRNN, LSTM and GRU stay at ln 8 = 2.08 at every length for 4,000 steps.
    814 s of processor time, 500 s by the clock, on two shared cores of an AMD EPYC (AVX2); jax 0.10.2 (2026-11-24).
    """
    return Settings(task="recall", lengths=(50, 100, 200))


def order() -> Settings:
    """The order of two signals in 50 to 200 steps: `scripts/memory --task order`.

    Solved at 50 / 100 / 200 steps after 225 / 300 / 400 training steps (chrono LSTM), 225 / 300 / 375 (chrono GRU),
    350 / 1,275 / never (LSTM), 675 / never / never (GRU) and 800 / never / never (SimpleRNN), means of two seeds. Never
    means not within 4,000 steps; the cross-entropy is then ln 4 = 1.387, or 0.845 (SimpleRNN at 100 steps, one seed at
    0.30).
    645 s of processor time, 571 s by the clock, on two shared cores of an AMD EPYC (AVX2); jax 0.10.2 (2026-11-24).
    """
    return Settings(task="order", lengths=(50, 100, 200))


DEFAULTS: MappingProxyType[str, Callable[[], Settings]] = MappingProxyType(
    {"adding": adding, "copy": copy, "recall": recall, "order": order}
)
"""Task -> its default settings."""
