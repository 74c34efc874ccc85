"""Named suites: the tasks that are compared one after the other, and the size that varies."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from experiments.speed.contestants import NAMES, OF_SUITES, Name
from experiments.speed.task import Task

__all__ = ["SUITES", "Suite", "SuiteName"]

SuiteName = Literal["imdb", "default", "drop-in", "width", "batch", "length", "scaling"]
Cell = Literal["lstm", "gru", "simple_rnn"]


@dataclass(frozen=True)
class Suite:
    """A base task, and the field that varies."""

    title: str
    field: Literal["lengths", "width", "batch", "time"]
    values: tuple[Any, ...]
    base: Task
    turns: int
    limit_seconds: float
    """Time limit of each contestant on one task."""
    is_strict: bool
    """Whether a failure ends the suite; otherwise the contestant is reported and left out."""
    contestants: tuple[Name, ...] = tuple(name for name in NAMES if name not in OF_SUITES)
    """Who takes part."""
    sizes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """A value of the field that varies -> other sizes that belong to it."""

    def tasks(self, cells: Sequence[Cell], values: Sequence[int] = (), **changes: Any) -> list[Task]:
        """Returns the tasks, cell by cell.

        Args:
            cells: the cells to compare.
            values: of the field that varies, instead of the suite's own.
            changes: to the base task. A change of the field that varies makes it constant.

        Raises:
            ValueError: values of the wrong type, or a size that is too small.
        """
        if values and self.field == "lengths":
            raise ValueError(f"{list(values)} are not values for {self.field}: only grids accept other values.")
        points = [changes[self.field]] if self.field in changes else values or self.values
        variants: list[dict[str, Any]] = [{"cell": cell, self.field: point} for cell in cells for point in points]
        return [
            dataclasses.replace(self.base, **{**self.sizes.get(variant[self.field], {}), **changes, **variant})
            for variant in variants
        ]


SUITES: dict[SuiteName, Suite] = {
    "imdb": Suite(
        title="The IMDB benchmark",
        field="lengths",
        values=("reviews", "full"),
        base=Task(steps=10),
        turns=12,
        limit_seconds=float("inf"),
        is_strict=True,
    ),
    "default": Suite(
        title="A user's own loop on JAX as it comes",
        field="width",
        values=(32, 256),
        base=Task(lengths="full", steps=3, start="default"),
        turns=6,
        limit_seconds=300,
        is_strict=False,
        contestants=("own_loop", "linen", "pytorch"),
        sizes={32: {"batch": 128, "time": 500}, 256: {"batch": 64, "time": 200}},
    ),
    "drop-in": Suite(
        title="A script of Keras or Flax with one import changed",
        field="lengths",
        values=("reviews", "full"),
        base=Task(steps=3, start="default"),
        turns=8,
        limit_seconds=300,
        is_strict=False,
        contestants=("keras_drop_in", "keras_jax", "linen_drop_in", "linen"),
    ),
    "width": Suite(
        title="Along the width of embedding and cell",
        field="width",
        values=(32, 64, 128, 256, 512, 1024),
        base=Task(batch=64, time=200, lengths="full", steps=1),
        turns=4,
        limit_seconds=300,
        is_strict=False,
    ),
    "batch": Suite(
        title="Along the size of a batch",
        field="batch",
        values=(1, 4, 16, 64, 128, 256, 512),
        base=Task(lengths="full", steps=3),
        turns=6,
        limit_seconds=150,
        is_strict=False,
    ),
    "length": Suite(
        title="Along the length of sequences",
        field="time",
        values=(100, 400, 1600, 6400, 16_000),
        base=Task(batch=32, lengths="full", steps=1),
        turns=4,
        limit_seconds=300,
        is_strict=False,
    ),
}
