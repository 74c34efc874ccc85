"""The quantities that a figure of a suite shows, with their units."""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.speed.contestants import CONTESTANTS
from experiments.speed.measurement import Measurement
from experiments.speed.results import Point
from experiments.speed.task import Task

__all__ = ["AXES", "BENCHMARK", "Quantity", "measured", "values"]


class Quantity(NamedTuple):
    """A field of a measurement in a unit, divided by the number of time steps if it `is_by_step`."""

    title: str
    field: str
    scale: float
    is_by_step: bool = False

    def of(self, task: Task, measurement: Measurement) -> float | None:
        """Returns the value; None if it was not measured, or is smaller than a page of memory."""
        value = getattr(measurement, self.field)
        return value * self.scale / (task.time if self.is_by_step else 1) if value else None


_TRAIN = Quantity("training, ms a step", "train_seconds", 1e3)
_PREDICT = Quantity("inference, ms a batch", "predict_seconds", 1e3)
_MEMORY = Quantity("training, peak memory in MB", "memory_bytes", 1e-6)
_BY_STEP = (
    Quantity("training, µs a step of the sequence", "train_seconds", 1e6, is_by_step=True),
    Quantity("inference, µs a step of the sequence", "predict_seconds", 1e6, is_by_step=True),
)
BENCHMARK = (_TRAIN, _PREDICT, _MEMORY)
AXES = {
    "width": ("width", "width", BENCHMARK),
    "batch": ("sequences in a batch", "batch", BENCHMARK),
    "length": ("steps of a sequence", "time", (*_BY_STEP, _MEMORY)),
}
"""Suite -> the label of its horizontal axis, the field of the task that varies, and what is shown."""


def measured(points: Sequence[Point], quantities: Sequence[Quantity]) -> list[Quantity]:
    """Returns the quantities that were measured, or at least the first one."""
    found = [quantity for quantity in quantities if any(values(points, name, quantity) for name in CONTESTANTS)]
    return found or list(quantities[:1])


def values(points: Sequence[Point], name: str, quantity: Quantity) -> list[tuple[Task, float]]:
    """Returns the values of a quantity for one contestant, by task."""
    return [
        (point.task, value)
        for point in points
        for measurement in point.results
        if measurement.contestant == name and (value := quantity.of(point.task, measurement)) is not None
    ]
