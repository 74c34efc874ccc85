"""What was found as one picture: losses against steps, what each cell solves, gradients against time.

To draw a picture again:  python -m experiments.memory.figure docs/memory/adding.json
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

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
from experiments.memory.results import Outcome, Point, read
from experiments.memory.tables import cells, footnote, lengths

__all__ = ["draw", "make_figure"]

_TITLES = {
    "adding": "Adding: the sum of two marked numbers",
    "copy": "Copy memory: ten symbols, after a gap",
    "recall": "Delayed recall: the first symbol, many steps later",
    "order": "Temporal order: which of two signals came first",
}
_LOSSES = {"adding": "mean squared error"}


def draw(outcome: Outcome, path: Path) -> None:
    """Draws what there is into a file."""
    save_figure(make_figure(outcome), path)


def make_figure(outcome: Outcome) -> Any:
    """Draws what there is: three rows, for a page as narrow as a telephone's."""
    with house_style():
        heights = (3.7, 0.8 + 0.42 * len(cells(outcome)), 4.6)
        figure = new_figure(sum(heights) + 0.9)
        rows: Any = figure.subfigures(3, 1, height_ratios=heights)
        _add_losses(rows[0], outcome)
        draw_solved(rows[1].subplots(), outcome)
        pair = rows[2].subplots(1, 2, sharey=True)
        for axes, when in zip(pair, ("before", "after"), strict=True):
            draw_flows(axes, outcome, lengths(outcome)[-1], when)
        pair[0].set_ylabel("norm, relative to the last step's")
        figure.suptitle(_TITLES[outcome.settings["task"]], x=0.01, ha="left")
        note = "\n" + fill(footnote(outcome), 75)
        figure.supxlabel(note, fontsize=9, color=MUTED.light, x=0.01, ha="left")
        return figure


def _add_losses(figure: Any, outcome: Outcome) -> None:
    """Draws the losses of the two greatest lengths, with a key to the whole picture."""
    shown = lengths(outcome)[-2:]
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, length in zip(panels, shown, strict=True):
        draw_losses(axes, outcome, length)
    panels[0].set_ylabel(_LOSSES.get(outcome.settings["task"], "cross-entropy"))
    points = [point for point in outcome.points if point.length in shown]
    key_below(figure, [*_cell_keys(outcome), *_line_keys(points)], columns=2)


def _cell_keys(outcome: Outcome) -> list[tuple[Any, str]]:
    return [line_key(CONTESTANTS[cell].label, **CELLS[cell].style()) for cell in cells(outcome)]


def _line_keys(points: Sequence[Point]) -> list[tuple[Any, str]]:
    """Says what bands, dots and reference lines of the losses are, as far as there are any."""
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
    for argument in sys.argv[1:]:
        draw(read(Path(argument)), Path(argument).with_suffix(".svg"))
