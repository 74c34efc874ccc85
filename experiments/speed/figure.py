"""A suite's results as one picture: a line for each contestant where a size varies, else a dot.

To draw a picture again:  python -m experiments.speed.figure docs/speed/width.json
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

from experiments.figures import (
    CELL_LABELS,
    OTHERS,
    TEXT,
    Colour,
    house_style,
    key_below,
    label_plainly,
    line_key,
    new_figure,
    save_figure,
)
from experiments.speed.compare import Result
from experiments.speed.contestants import CONTESTANTS
from experiments.speed.results import Outcome, Point, read
from experiments.speed.suites import SUITES
from experiments.speed.task import Task

__all__ = ["draw", "make_figure"]

_LENGTHS = {"reviews": "review lengths", "full": "full length"}
_STYLES: dict[str, tuple[Colour, str]] = {  # shapes for those who print in grey
    "ours": (OTHERS[0], "o"),
    "plain": (OTHERS[1], "s"),
    "pytorch": (OTHERS[2], "^"),
    "pytorch_packed": (OTHERS[3], "v"),
    "linen": (OTHERS[4], "D"),
    "keras_jax": (OTHERS[5], "P"),
    "keras_tensorflow": (TEXT, "X"),
}


class _Quantity(NamedTuple):
    """What an axis shows: a field of a result, in a unit, and perhaps by the step of the sequence."""

    title: str
    field: str
    scale: float
    is_by_step: bool = False

    def of(self, task: Task, result: Result) -> float | None:
        value = getattr(result, self.field)
        if not value:  # not measured, or less than a page
            return None
        return value * self.scale / (task.time if self.is_by_step else 1)


_TRAIN = _Quantity("training, ms a step", "train_seconds", 1e3)
_PREDICT = _Quantity("inference, ms a batch", "predict_seconds", 1e3)
_MEMORY = _Quantity("training, peak memory in MB", "memory_bytes", 1e-6)
_BY_STEP = (
    _Quantity("training, µs a step of the sequence", "train_seconds", 1e6, is_by_step=True),
    _Quantity("inference, µs a step of the sequence", "predict_seconds", 1e6, is_by_step=True),
)
_AXES = {
    "width": ("width", "width", (_TRAIN, _PREDICT, _MEMORY)),
    "batch": ("sequences in a batch", "batch", (_TRAIN, _PREDICT, _MEMORY)),
    "length": ("steps of a sequence", "time", (*_BY_STEP, _MEMORY)),
}


def draw(outcome: Outcome, path: Path) -> None:
    """Draws what there is of a suite into a file."""
    save_figure(make_figure(outcome), path)


def make_figure(outcome: Outcome) -> Any:
    """Draws what there is of a suite: a row of panels for each quantity, for a page as narrow as a telephone's."""
    is_grid = _suite(outcome) in _AXES
    quantities = _measured(outcome, _AXES[_suite(outcome)][2] if is_grid else (_TRAIN, _PREDICT, _MEMORY))
    height = 2.1 if is_grid else 0.9 + 0.26 * len(outcome.points)
    with house_style():
        figure = new_figure(1.9 + height * len(quantities))
        (_draw_lines if is_grid else _draw_dots)(outcome, figure, quantities)
        heading = [SUITES[_suite(outcome)].title, *(fill(part, 75) for part in _conditions(outcome))]
        figure.suptitle("\n".join(heading), fontsize=10, x=0.01, ha="left")
        key_below(figure, _keys(outcome), columns=2)
        return figure


def _draw_lines(outcome: Outcome, figure: Any, quantities: Sequence[_Quantity]) -> None:
    """Draws a row of panels for each quantity and a column for each cell, against the size that varies."""
    label, field, _ = _AXES[_suite(outcome)]
    cells = _cells(outcome)
    grid = figure.subplots(len(quantities), len(cells), squeeze=False, sharex=True)
    for row, quantity in zip(grid, quantities, strict=True):
        for axes, cell in zip(row, cells, strict=True):
            points = sorted((p for p in outcome.points if p.task.cell == cell), key=lambda p: getattr(p.task, field))
            for name in CONTESTANTS:
                line = [(getattr(task, field), value) for task, value in _values(points, name, quantity)]
                axes.plot(*zip(*line, strict=True), **_style(name)) if line else None
            axes.set_title(f"{CELL_LABELS[cell]}: {quantity.title}" if len(cells) == 1 else CELL_LABELS[cell])
            axes.set_xscale("log")
            axes.set_yscale("log")
            sizes = sorted({getattr(point.task, field) for point in outcome.points})
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
            axes.minorticks_off()
            label_plainly(axes.yaxis)
        if len(cells) > 1:
            row[0].set_ylabel(quantity.title.replace(", ", ",\n"))
    for axes in grid[-1]:
        axes.set_xlabel(label)


def _draw_dots(outcome: Outcome, figure: Any, quantities: Sequence[_Quantity]) -> None:
    """Draws a panel for each quantity, and in it a line of dots for each task."""
    labels = [f"{CELL_LABELS[task.cell]}, {_LENGTHS[task.lengths]}" for task, *_ in outcome.points]
    panels = figure.subplots(len(quantities), 1, squeeze=False)[:, 0]
    for axes, quantity in zip(panels, quantities, strict=True):
        for name in CONTESTANTS:
            dots = [
                (value, height)
                for height, point in enumerate(outcome.points)
                for _, value in _values([point], name, quantity)
            ]
            axes.plot(*zip(*dots, strict=True), **_style(name) | {"linestyle": ""}) if dots else None
        axes.set_title(quantity.title)
        axes.set_xscale("log")
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        label_plainly(axes.xaxis)


def _measured(outcome: Outcome, quantities: Sequence[_Quantity]) -> list[_Quantity]:
    """Leaves out what was not measured."""
    found = [
        quantity for quantity in quantities if any(_values(outcome.points, name, quantity) for name in CONTESTANTS)
    ]
    return found or list(quantities[:1])


def _values(points: Sequence[Point], name: str, quantity: _Quantity) -> list[tuple[Task, float]]:
    """Lists what one contestant has of a quantity."""
    return [
        (point.task, value)
        for point in points
        for result in point.results
        if result.contestant == name and (value := quantity.of(point.task, result)) is not None
    ]


def _style(name: str) -> dict[str, Any]:
    colour, marker = _STYLES[name]
    width, order = (2.4, 3) if name == "ours" else (1.2, 2)
    return {"color": colour.light, "marker": marker, "markersize": 5.5, "linewidth": width, "zorder": order}


def _keys(outcome: Outcome) -> list[tuple[Any, str]]:
    """Names the contestants that have a result, with their versions."""
    results = {result.contestant: result for point in outcome.points for result in point.results}
    return [
        line_key(f"{CONTESTANTS[name].label} {results[name].version}", **_style(name))
        for name in CONTESTANTS
        if name in results
    ]


def _conditions(outcome: Outcome) -> list[str]:
    """Says what stays the same along the suite, and on which machine it was measured."""
    tasks = [point.task for point in outcome.points]
    sizes = {"batch": "batch {}", "time": "{} steps", "width": "width {}"}
    same = [text.format(getattr(tasks[0], name)) for name, text in sizes.items() if len(_each(tasks, name)) == 1]
    if len(_each(tasks, "lengths")) == 1:
        same.append(_LENGTHS[tasks[0].lengths])
    if any(task.lengths == "reviews" for task in tasks):
        same.append("padding masked" if tasks[0].padding == "masked" else "padding treated as input")
    devices = sorted({result.device for point in outcome.points for result in point.results} - {"cpu"})
    machine = [outcome.machine["processor"], f"{outcome.machine['cores']} cores", *devices, outcome.date]
    return [f"{', '.join(same)}; less is better", ", ".join(machine)]


def _suite(outcome: Outcome) -> Any:
    return outcome.suite.removesuffix("-masked")


def _each(tasks: Sequence[Task], name: str) -> set[Any]:
    return {getattr(task, name) for task in tasks}


def _cells(outcome: Outcome) -> list[str]:
    return list(dict.fromkeys(point.task.cell for point in outcome.points))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        draw(read(Path(argument)), Path(argument).with_suffix(".svg"))
