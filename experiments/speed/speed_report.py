"""A suite's results as one picture: a line for each contestant where a size varies, else a dot.

To draw a picture again:  python -m experiments.speed.speed_report docs/speed/width.json
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.picture_report import save_figure
from experiments.speed.compare import Result
from experiments.speed.contestants import CONTESTANTS
from experiments.speed.outcome import Outcome, Point, read
from experiments.speed.suites import SUITES
from experiments.speed.task import Task

__all__ = ["draw", "make_figure"]

_CELLS = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "SimpleRNN"}
_LENGTHS = {"reviews": "review lengths", "full": "full length"}
_STYLES = {  # Okabe and Ito's colours, which colour-blind people tell apart; shapes for those who print in grey
    "ours": ("#D55E00", "o"),
    "plain": ("#E69F00", "s"),
    "pytorch": ("#0072B2", "^"),
    "pytorch_packed": ("#56B4E9", "v"),
    "linen": ("#009E73", "D"),
    "keras_jax": ("#CC79A7", "P"),
    "keras_tensorflow": ("#000000", "X"),
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
    "width": ("width of embedding and cell", "width", (_TRAIN, _PREDICT, _MEMORY)),
    "batch": ("sequences in a batch", "batch", (_TRAIN, _PREDICT, _MEMORY)),
    "length": ("steps of a sequence", "time", (*_BY_STEP, _MEMORY)),
}


def draw(outcome: Outcome, path: Path) -> None:
    """Draws what there is of a suite into a file."""
    save_figure(make_figure(outcome), path)


def make_figure(outcome: Outcome) -> Any:
    """Draws what there is of a suite."""
    from matplotlib.figure import Figure

    is_grid = _suite(outcome) in _AXES
    height = 2.7 * len(_cells(outcome)) if is_grid else 0.5 * len(outcome.points)
    figure = Figure(figsize=(10.5, 1.2 + height), layout="constrained")
    (_draw_lines if is_grid else _draw_dots)(outcome, figure)
    figure.suptitle(_heading(outcome), fontsize=9, x=0.01, ha="left")
    _add_legend(figure, outcome)
    return figure


def _draw_lines(outcome: Outcome, figure: Any) -> None:
    """Draws a row of pictures for each cell, against the size that varies."""
    label, field, quantities = _AXES[_suite(outcome)]
    cells, quantities = _cells(outcome), _measured(outcome, quantities)
    grid = figure.subplots(len(cells), len(quantities), squeeze=False, sharex=True)
    for row, cell in zip(grid, cells, strict=True):
        points = sorted((p for p in outcome.points if p.task.cell == cell), key=lambda p: getattr(p.task, field))
        for axes, quantity in zip(row, quantities, strict=True):
            for name in CONTESTANTS:
                line = [(getattr(task, field), value) for task, value in _values(points, name, quantity)]
                axes.plot(*zip(*line, strict=True), **_style(name)) if line else None
            axes.set_title(f"{_CELLS[cell]}: {quantity.title}", fontsize=9, loc="left")
            axes.set_xscale("log")
            axes.set_yscale("log")
            sizes = sorted({getattr(point.task, field) for point in outcome.points})
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
            axes.minorticks_off()
            _tidy(axes, "both", "y")
    for axes in grid[-1]:
        axes.set_xlabel(label, fontsize=8)


def _draw_dots(outcome: Outcome, figure: Any) -> None:
    """Draws a line of dots for each task."""
    quantities = _measured(outcome, (_TRAIN, _PREDICT, _MEMORY))
    labels = [f"{_CELLS[task.cell]}, {_LENGTHS[task.lengths]}" for task, *_ in outcome.points]
    for axes, quantity in zip(
        figure.subplots(1, len(quantities), squeeze=False, sharey=True)[0], quantities, strict=True
    ):
        for name in CONTESTANTS:
            dots = [
                (value, height)
                for height, point in enumerate(outcome.points)
                for _, value in _values([point], name, quantity)
            ]
            axes.plot(*zip(*dots, strict=True), **_style(name) | {"linestyle": ""}) if dots else None
        axes.set_title(quantity.title, fontsize=9, loc="left")
        axes.set_xscale("log")
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        _tidy(axes, "both", "x")


def _tidy(axes: Any, grid: str, numbers: str) -> None:
    """Takes away what does not inform, and writes numbers of a log axis as people do."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis = getattr(axes, f"{numbers}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.25)


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
    width, order = (2.2, 3) if name == "ours" else (1.2, 2)
    return {"color": colour, "marker": marker, "markersize": 5, "linewidth": width, "zorder": order}


def _add_legend(figure: Any, outcome: Outcome) -> None:
    from matplotlib.lines import Line2D

    results = {result.contestant: result for point in outcome.points for result in point.results}
    names = [name for name in CONTESTANTS if name in results]
    labels = [f"{CONTESTANTS[name].label} {results[name].version}" for name in names]
    handles = [Line2D([], [], **_style(name)) for name in names]
    figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False)


def _heading(outcome: Outcome) -> str:
    """Says what stays the same along the suite, and on which machine it was measured."""
    tasks = [point.task for point in outcome.points]
    sizes = {"batch": "batch {}", "time": "{} steps", "width": "width {}"}
    same = [text.format(getattr(tasks[0], name)) for name, text in sizes.items() if len(_each(tasks, name)) == 1]
    if len(_each(tasks, "lengths")) == 1:
        same.append(_LENGTHS[tasks[0].lengths])
    if any(task.lengths == "reviews" for task in tasks):
        same.append("padding masked" if tasks[0].padding == "masked" else "padding read like words")
    devices = sorted({result.device for point in outcome.points for result in point.results} - {"cpu"})
    machine = [outcome.machine["processor"], f"{outcome.machine['cores']} cores", *devices, outcome.date]
    return f"{SUITES[_suite(outcome)].title}: {', '.join(same)} · {', '.join(machine)} · less is better"


def _suite(outcome: Outcome) -> Any:
    return outcome.suite.removesuffix("-masked")


def _each(tasks: Sequence[Task], name: str) -> set[Any]:
    return {getattr(task, name) for task in tasks}


def _cells(outcome: Outcome) -> list[str]:
    return list(dict.fromkeys(point.task.cell for point in outcome.points))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        draw(read(Path(argument)), Path(argument).with_suffix(".svg"))
