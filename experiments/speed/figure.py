"""The results of a suite as one figure.

To draw a figure again:  python -m experiments.speed.figure docs/speed/width.json
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from experiments.command_line import redraw, start
from experiments.figures import house_style, key_below, line_key, new_figure, save_figure
from experiments.speed.contestants import CONTESTANTS
from experiments.speed.panels import LENGTHS, draw_dots, draw_lines, style
from experiments.speed.quantities import AXES, BENCHMARK, measured
from experiments.speed.results import Results, read
from experiments.speed.suites import SUITES
from experiments.speed.task import Task

__all__ = ["draw", "make_figure"]


def draw(results: Results, path: Path) -> None:
    """Draws the results into a file."""
    save_figure(make_figure(results), path)


def make_figure(results: Results) -> Any:
    """Returns a figure with a row of panels for each quantity, for a page as narrow as a telephone's."""
    is_grid = results.base in AXES
    quantities = measured(results.points, AXES[results.base][2] if is_grid else BENCHMARK)
    height = 2.1 if is_grid else 0.9 + (0.26 if results.base == "imdb" else 0.4) * len(results.points)
    with house_style():
        figure = new_figure(1.9 + height * len(quantities))
        (draw_lines if is_grid else draw_dots)(results, figure, quantities)
        heading = [SUITES[results.base].title, *(fill(part, 75) for part in _conditions(results))]
        figure.suptitle("\n".join(heading), fontsize=10, x=0.01, ha="left")
        key_below(figure, _keys(results), columns=2)
        return figure


def _keys(results: Results) -> list[tuple[Any, str]]:
    """Returns an entry for each contestant that has a result, with its version."""
    versions = {each.contestant: each.version for point in results.points for each in point.results}
    return [
        line_key(f"{CONTESTANTS[name].label} {versions[name]}", **style(name))
        for name in CONTESTANTS
        if name in versions
    ]


def _conditions(results: Results) -> list[str]:
    """Returns what is the same for all points of the suite, and the machine."""
    tasks = [point.task for point in results.points]
    sizes = {"batch": "batch {}", "time": "{} steps", "width": "width {}"}
    same = [text.format(getattr(tasks[0], name)) for name, text in sizes.items() if len(_each(tasks, name)) == 1]
    if len(_each(tasks, "lengths")) == 1:
        same.append(LENGTHS[tasks[0].lengths])
    if any(task.lengths == "reviews" for task in tasks):
        same.append("padding masked" if tasks[0].padding == "masked" else "padding treated as input")
    devices = sorted({each.device for point in results.points for each in point.results} - {"cpu"})
    machine = [results.machine["processor"], f"{results.machine['cores']} cores", *devices, results.date]
    return [f"{', '.join(same)}; less is better", ", ".join(machine)]


def _each(tasks: Sequence[Task], name: str) -> set[Any]:
    return {getattr(task, name) for task in tasks}


if __name__ == "__main__":
    start(lambda arguments: redraw("speed", arguments, lambda path: draw(read(path), path.with_suffix(".svg"))))
