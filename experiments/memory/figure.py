"""The results of a task as one figure: losses by training step, what each cell solves, gradient norms by time step.

To draw a figure again:  python -m experiments.memory.figure docs/memory/adding.json
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from experiments.command_line import redraw, start
from experiments.figures import (
    CELLS,
    MUTED,
    band_key,
    house_style,
    key_below,
    line_key,
    mark_key,
    new_figure,
    reference_line,
    save_figure,
)
from experiments.memory.contestants import CONTESTANTS
from experiments.memory.panels import draw_flows, draw_losses, draw_solved
from experiments.memory.results import Point, Results, read
from experiments.memory.tables import cells, footnote, lengths

__all__ = ["draw", "make_figure"]

_TITLES = {
    "adding": "Adding: the sum of two marked numbers",
    "copy": "Copy memory: ten symbols, after a gap",
    "recall": "Delayed recall: the first symbol, many steps later",
    "order": "Temporal order: which of two signals came first",
}
_LOSSES = {"adding": "mean squared error"}


def draw(results: Results, path: Path) -> None:
    """Draws the results into a file."""
    save_figure(make_figure(results), path)


def make_figure(results: Results) -> Any:
    """Returns a figure of three rows, for a page as narrow as a telephone's."""
    with house_style():
        heights = (3.7, 0.8 + 0.42 * len(cells(results)), 4.6)
        figure = new_figure(sum(heights) + 0.9)
        rows: Any = figure.subfigures(3, 1, height_ratios=heights)
        _add_losses(rows[0], results)
        draw_solved(rows[1].subplots(), results)
        pair = rows[2].subplots(1, 2, sharey=True)
        for axes, when in zip(pair, ("before", "after"), strict=True):
            draw_flows(axes, results, lengths(results)[-1], when)
        pair[0].set_ylabel("norm, relative to the last step's")
        figure.suptitle(_TITLES[results.settings["task"]], x=0.01, ha="left")
        note = "\n" + fill(footnote(results), 75)
        figure.supxlabel(note, fontsize=9, color=MUTED.light, x=0.01, ha="left")
        return figure


def _add_losses(figure: Any, results: Results) -> None:
    """Draws the losses of the two greatest lengths, with the key of the whole figure."""
    shown = lengths(results)[-2:]
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, length in zip(panels, shown, strict=True):
        draw_losses(axes, results, length)
    panels[0].set_ylabel(_LOSSES.get(results.settings["task"], "cross-entropy"))
    points = [point for point in results.points if point.length in shown]
    key_below(figure, [*_cell_keys(results), *_line_keys(points)], columns=2)


def _cell_keys(results: Results) -> list[tuple[Any, str]]:
    return [line_key(CONTESTANTS[cell].label, **CELLS[cell].style()) for cell in cells(results)]


def _line_keys(points: Sequence[Point]) -> list[tuple[Any, str]]:
    """Returns the key's entries for bands, marks and reference lines of the losses, as far as there are any."""
    keys: list[tuple[Any, str]] = []
    most = max(len(point.runs) for point in points)
    if most > 1:
        keys.append(line_key(f"line: mean of {most} seeds"))
        keys.append(band_key(f"lowest to highest of {most} seeds"))
    if any(point.is_solved for point in points):
        keys.append(mark_key("solved by all seeds", size=8))
    for style, name, field in (("--", "memoryless baseline", "baseline"), (":", "solved below", "solved_below")):
        levels = " and ".join(dict.fromkeys(f"{getattr(point, field):.3g}" for point in points))
        keys.append(line_key(f"{name}: {levels}", **reference_line(style)))
    return keys


if __name__ == "__main__":
    start(lambda arguments: redraw("memory", arguments, lambda path: draw(read(path), path.with_suffix(".svg"))))
