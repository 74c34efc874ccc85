"""Named suites: which tasks are compared one after the other, and what varies along them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from experiments.speed.task import Task

__all__ = ["SUITES", "Suite", "SuiteName"]

SuiteName = Literal["imdb", "width", "batch", "length"]
Cell = Literal["lstm", "gru", "simple_rnn"]


@dataclass(frozen=True)
class Suite:
    """A base task, and one of its fields that varies."""

    title: str
    field: Literal["lengths", "width", "batch", "time"]
    values: tuple[Any, ...]
    base: Task
    turns: int
    limit_seconds: float
    """What each contestant may take at one task."""
    is_strict: bool
    """Whether a contestant that fails ends the suite; else it is reported and left out."""

    def tasks(self, cells: Sequence[Cell], values: Sequence[int] = (), **changes: Any) -> list[Task]:
        """Lists the tasks, cell by cell.

        Args:
            values: instead of the suite's own.
            changes: to the base task; if to what varies, then it does not.

        Raises:
            ValueError: values of the wrong kind, or a size that is none.
        """
        if values and self.field == "lengths":
            raise ValueError(f"{list(values)} are no values for {self.field}: only grids take other values.")
        points = [changes[self.field]] if self.field in changes else values or self.values
        variants: list[dict[str, Any]] = [{"cell": cell, self.field: point} for cell in cells for point in points]
        return [dataclasses.replace(self.base, **(changes | variant)) for variant in variants]


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
    "width": Suite(
        title="Along the width of embedding and cell",
        field="width",
        values=(32, 64, 128, 256, 512),
        base=Task(lengths="full", steps=1),
        turns=6,
        limit_seconds=150,
        is_strict=False,
    ),
    "batch": Suite(
        title="Along the size of a batch",
        field="batch",
        values=(1, 4, 16, 64, 128, 256, 512),
        base=Task(lengths="full", steps=1),
        turns=6,
        limit_seconds=150,
        is_strict=False,
    ),
    "length": Suite(
        title="Along the length of sequences",
        field="time",
        values=(100, 400, 1600, 6400, 16_000),
        base=Task(lengths="full", steps=1),
        turns=4,
        limit_seconds=300,
        is_strict=False,
    ),
}
