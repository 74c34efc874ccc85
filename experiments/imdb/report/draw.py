"""Draws the pictures of a report with Matplotlib, once for the page and the files.

To draw the pictures beside a report again:  python -m experiments.imdb.report.draw docs/imdb/report.json
"""

import json
from pathlib import Path
from textwrap import fill
from typing import Any

from experiments.command_line import redraw, start
from experiments.figures import (
    BACKGROUND,
    TEXT,
    band_key,
    house_style,
    key_below,
    label_plainly,
    label_powers,
    line_key,
    mark_key,
    new_figure,
    reference_line,
    save_figure,
)
from experiments.imdb.report.chart import Chart, Picture, Series

__all__ = ["make_figure", "save_picture"]

Key = tuple[Any, str]
_SHORT_NAME = 30  # characters; with longer names the key has one column
_FEW = 16  # points, which all have a marker; of more, some have


def save_picture(picture: Picture, path: Path) -> None:
    """Draws a picture into a file; the same picture gives the same bytes."""
    save_figure(make_figure(picture), path)


def make_figure(picture: Picture) -> Any:
    """Draws a picture: its charts above each other, and below them one key."""
    charts = picture.charts
    names = [each.key or each.name for chart in charts for each in chart.series if each.key is not None]
    columns = 2 if max(map(len, names), default=0) <= _SHORT_NAME else 1
    with house_style():
        figure = new_figure(2.6 * len(charts) + 0.8 + (0.16 if columns == 2 else 0.2) * len(names))
        panels = figure.subplots(len(charts), 1, sharex=True, squeeze=False)[:, 0]
        keys: list[Key] = []
        for axes, chart in zip(panels, charts, strict=True):
            keys += _draw(axes, chart, 38 if columns == 2 else 76)
        panels[-1].set_xlabel(charts[-1].x_label)
        key_below(figure, [*keys, *(key for chart in charts for key in _meanings(chart))], columns=columns)
        return figure


def _draw(axes: Any, chart: Chart, key_width: int) -> list[Key]:
    """Draws a chart, and returns the key to its series, in lines of `key_width` characters."""
    keys = []
    for place, series in enumerate(chart.series):
        line = _draw_series(axes, series, (place + 0.5) / len(chart.series))
        if series.key is not None:
            keys.append((line, fill(series.key or series.name, key_width)))
    for reference in chart.references:
        axes.axhline(reference.y, **reference_line())
    if chart.diagonal:
        axes.axline((0, 0), slope=1, **reference_line())
    if chart.x_range:
        axes.set_xlim(*chart.x_range)
    low, high = chart.y_range
    axes.set_ylim(bottom=low, top=high)
    axes.set_title(chart.title)
    if chart.y_label not in chart.title:
        axes.set_ylabel(chart.y_label)
    _label(axes, chart)
    return keys


def _draw_series(axes: Any, series: Series, place: float) -> Any:
    """Draws a series and returns its line.

    Args:
        place: from 0 to 1. Markers of lines that lie on each other stand side by side.
    """
    style: dict[str, Any] = {**series.look.style(), "linestyle": series.line, "zorder": 2}
    x, y = zip(*series.points, strict=True)
    every = 1 if len(x) <= _FEW else (0.03 + 0.12 * place, 0.12)
    (line,) = axes.plot(x, [float("nan") if value is None else value for value in y], **style, markevery=every)
    if series.band:
        axes.fill_between(*zip(*series.band, strict=True), color=style["color"], alpha=0.15, linewidth=0)
    for at, low, high in series.whiskers:
        axes.plot([at, at], [low, high], color=style["color"], linewidth=1.2, marker="_", markersize=5, zorder=1.5)
    if series.marks:
        large = {"linestyle": "", "markersize": 9, "markeredgecolor": BACKGROUND.light, "zorder": 3}
        axes.plot(*zip(*series.marks, strict=True), **style | large)
    return line


def _label(axes: Any, chart: Chart) -> None:
    """Labels the ticks: names of bins, powers of ten, whole epochs."""
    if chart.x_names:
        rows = [f"{name}\nn {count:,}" for name, count in zip(chart.x_names, chart.counts, strict=False)]
        axes.set_xticks(range(len(chart.x_names)), rows or chart.x_names)
        axes.set_xlim(-0.5, len(chart.x_names) - 0.5)
        axes.grid(False, axis="x")
    if chart.is_log:
        axes.set_yscale("log")
        label_powers(axes.yaxis)
    if chart.is_log_x:
        axes.set_xscale("log")
        axes.margins(x=0.15)
        label_plainly(axes.xaxis)
    if chart.x_label == "epoch":
        axes.xaxis.get_major_locator().set_params(integer=True)


def _meanings(chart: Chart) -> list[Key]:
    """Explains what is not a series of its own: line styles, bands, marks, whiskers and reference lines."""
    keys = [line_key(text, linestyle=line) for line, text in chart.line_labels.items()]
    if chart.band_label and any(each.band for each in chart.series):
        keys.append(band_key(chart.band_label))
    if chart.mark_label and any(each.marks for each in chart.series):
        keys.append(mark_key(chart.mark_label))
    if chart.whisker_label and any(each.whiskers for each in chart.series):
        keys.append(line_key(chart.whisker_label, color=TEXT.light, marker="_", linewidth=1.2))
    keys += [line_key(f"{label}: {y:.4f}", **reference_line()) for y, label in chart.references]
    if chart.diagonal:
        keys.append(line_key(chart.diagonal, **reference_line()))
    return keys


def _redraw(path: Path) -> None:
    """Draws those pictures again that lie beside a report."""
    from experiments.imdb.report.pictures import make_pictures

    for picture in make_pictures(json.loads(path.read_text(encoding="utf-8"))):
        file = path.parent / f"{picture.name}.svg"
        if file.exists():
            save_picture(picture, file)


if __name__ == "__main__":
    start(lambda arguments: redraw("imdb", arguments, _redraw, "report.draw"))
