"""The measurement of one contestant on one task."""

from typing import NamedTuple

__all__ = ["Measurement"]


class Measurement(NamedTuple):
    """Times are in seconds per step, medians over turns unless stated otherwise."""

    contestant: str
    version: str
    engine: str  # with its version
    device: str
    xla_flags: str
    turns: int  # that count
    train_seconds: float
    train_best_seconds: float
    predict_seconds: float
    first_seconds: float  # of all training steps of the first turn together, including compilation
    losses: list[float]  # of each turn
    memory_bytes: int | None = None  # peak of training, above what the process held before
    first_memory_bytes: int | None = None  # the same of the first turn, including compilation
    step_memory_bytes: int | None = None  # as memory_bytes, but above what the first turn left, such as compiled code
    settings: str = ""  # of the library in its process, in words
