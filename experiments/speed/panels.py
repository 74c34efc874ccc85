"""The panels of a suite's figure: lines where a size varies, else dots."""

from collections.abc import Sequence
from typing import Any

from experiments.figures import CELL_LABELS, OTHERS, SERIES, TEXT, Colour, label_plainly
from experiments.speed.contestants import CONTESTANTS
from experiments.speed.quantities import AXES, Quantity, values
from experiments.speed.results import Results
from experiments.speed.task import Task

__all__ = ["LENGTHS", "draw_dots", "draw_lines", "style"]

LENGTHS = {"reviews": "review lengths", "full": "full length"}
_STYLES: dict[str, tuple[Colour, str]] = {  # markers, for prints in grey
    "ours": (OTHERS[0], "o"),
    "cuda": (SERIES[2], "P"),
    "native": (SERIES[4], "p"),
    "fused": (SERIES[6], "h"),
    "plain": (OTHERS[1], "s"),
    "own_loop": (SERIES[3], "<"),
    "keras_drop_in": (SERIES[6], "<"),
    "linen_drop_in": (SERIES[5], "<"),
    "pytorch": (OTHERS[2], "^"),
    "pytorch_packed": (OTHERS[3], "v"),
    "linen": (OTHERS[4], "D"),
    "keras_jax": (OTHERS[5], "P"),
    "keras_tensorflow": (TEXT, "X"),
}


def draw_lines(results: Results, figure: Any, quantities: Sequence[Quantity]) -> None:
    """Draws a row of panels for each quantity and a column for each cell, by the size that varies."""
    label, field, _ = AXES[results.base]
    cells = list(dict.fromkeys(point.task.cell for point in results.points))
    grid = figure.subplots(len(quantities), len(cells), squeeze=False, sharex=True)
    for row, quantity in zip(grid, quantities, strict=True):
        for axes, cell in zip(row, cells, strict=True):
            points = sorted((p for p in results.points if p.task.cell == cell), key=lambda p: getattr(p.task, field))
            for name in CONTESTANTS:
                line = [(getattr(task, field), value) for task, value in values(points, name, quantity)]
                axes.plot(*zip(*line, strict=True), **style(name)) if line else None
            axes.set_title(f"{CELL_LABELS[cell]}: {quantity.title}" if len(cells) == 1 else CELL_LABELS[cell])
            axes.set_xscale("log")
            axes.set_yscale("log")
            sizes = sorted({getattr(point.task, field) for point in results.points})
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
            axes.minorticks_off()
            label_plainly(axes.yaxis)
        if len(cells) > 1:
            row[0].set_ylabel(quantity.title.replace(", ", ",\n"))
    for axes in grid[-1]:
        axes.set_xlabel(label)


def draw_dots(results: Results, figure: Any, quantities: Sequence[Quantity]) -> None:
    """Draws a panel for each quantity, and in it a row of dots for each task."""
    labels = [_row(task, results) for task, *_ in results.points]
    panels = figure.subplots(len(quantities), 1, squeeze=False)[:, 0]
    for axes, quantity in zip(panels, quantities, strict=True):
        for name in CONTESTANTS:
            dots = [
                (value, height)
                for height, point in enumerate(results.points)
                for _, value in values([point], name, quantity)
            ]
            axes.plot(*zip(*dots, strict=True), **style(name) | {"linestyle": ""}) if dots else None
        axes.set_title(quantity.title)
        axes.set_xscale("log")
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        label_plainly(axes.xaxis)


def _row(task: Task, results: Results) -> str:
    """Names a task by its cell and by what varies: the lengths in the benchmark, else all sizes."""
    if len({(point.task.width, point.task.batch, point.task.time) for point in results.points}) == 1:
        return f"{CELL_LABELS[task.cell]}, {LENGTHS[task.lengths]}"
    return f"{CELL_LABELS[task.cell]}, width {task.width},\nbatch {task.batch}, {task.time} steps"


def style(name: str) -> dict[str, Any]:
    """Returns the arguments of Matplotlib's `plot` for a contestant."""
    colour, marker = _STYLES[name]
    width, order = (2.4, 3) if name == "ours" else (1.2, 2)
    return {"color": colour.light, "marker": marker, "markersize": 5.5, "linewidth": width, "zorder": order}
