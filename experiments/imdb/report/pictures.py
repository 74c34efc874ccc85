"""The charts of a report as files, for a paper or a README: the same descriptions that the page draws.

To draw the pictures of a report again:  python -m experiments.imdb.report.pictures docs/imdb/report.json accuracy roc
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from experiments.figures import (
    BACKGROUND,
    MUTED,
    REFERENCE,
    SERIES,
    TEXT,
    house_style,
    key_below,
    new_figure,
    save_figure,
)
from experiments.imdb.report.series import Chart

__all__ = ["draw_charts", "make_figure"]

_MARKERS = "s^oDPXv*"  # of the page's series 1 to 8
_REFERENCE = {"color": REFERENCE.light, "linewidth": 1.2, "linestyle": "--"}


def draw_charts(charts: Mapping[str, Chart], folder: Path, suffixes: Sequence[str] = (".svg", ".png")) -> list[Path]:
    """Draws each chart, and returns the files. The same charts give the same bytes."""
    files = []
    for name, chart in charts.items():
        figure = make_figure(chart)
        for suffix in suffixes:
            files.append(folder / f"{name}{suffix}")
            save_figure(figure, files[-1])
    return files


def make_figure(chart: Chart) -> Any:
    """Draws a chart with those of its series that are shown at first."""
    options = chart.options
    shown = [each for each in options["series"] if not each.get("hidden")]
    with house_style():
        figure = new_figure(3.4 + 0.22 * len(shown))
        axes = figure.subplots()
        keys = (_draw_lines if chart.kind == "line" else _draw_bars)(axes, options, shown)
        for reference in options.get("references", []):
            keys.append((axes.axhline(reference["y"], zorder=1, **_REFERENCE), _reference_label(reference)))
        if options.get("xRange"):
            axes.set_xlim(*options["xRange"])
        low, high = options.get("yRange", (None, None))
        axes.set_ylim(bottom=low, top=high)
        axes.set_title(options["title"])
        axes.set_xlabel(options["xLabel"])
        axes.set_ylabel(options["yLabel"])
        key_below(figure, keys, columns=2)
        return figure


def _draw_lines(axes: Any, options: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> list[tuple[Any, str]]:
    """Draws lines, and returns the key to them."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    keys, has_marks = [], False
    for number, each in enumerate(shown):
        style: dict[str, Any] = {"color": _colour(each), "marker": _MARKERS[_series(each)], "zorder": 2}
        style |= {"linestyle": ":" if each.get("dash") else "-", "linewidth": 0.9 if each.get("thin") else 1.6}
        x, y = zip(*each["points"], strict=True)
        values = [float("nan") if value is None else value for value in y]
        # Marks tell lines apart that lie on each other: all of a few points, else some, side by side.
        every = 1 if each.get("dots") or len(x) <= 16 else (0.03 + 0.12 * number / len(shown), 0.12)
        (line,) = axes.plot(x, values, **style, markevery=every)
        keys.append((line, fill(each["name"], 34)))
        if each.get("band"):
            axes.fill_between(*zip(*each["band"], strict=True), color=_colour(each), alpha=0.15, linewidth=0)
        if each.get("marks"):
            large = {"linestyle": "", "markersize": 9, "markeredgecolor": BACKGROUND.light, "zorder": 3}
            axes.plot(*zip(*each["marks"], strict=True), **style | large)
            has_marks = True
    if options.get("bandLabel"):
        keys.append((Patch(color=MUTED.light, alpha=0.25, linewidth=0), options["bandLabel"]))
    if options.get("markLabel") and has_marks:
        mark = Line2D([], [], color=MUTED.light, marker="o", markersize=9, linestyle="")
        keys.append((mark, f"large mark: {options['markLabel']}"))
    if options.get("diagonal"):
        keys.append((axes.axline((0, 0), slope=1, **_REFERENCE), options["diagonal"]))
    if options.get("yLog"):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e"))
    elif options["xLabel"] == "epoch":
        axes.xaxis.get_major_locator().set_params(integer=True)
    return keys


def _draw_bars(axes: Any, options: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> list[tuple[Any, str]]:
    """Draws bars beside each other, and returns the key to them."""
    groups, counts = options["groups"], options.get("counts") or []
    width, keys, whiskers = 0.8 / len(shown), [], None
    for place, each in enumerate(shown):
        there = [number for number, value in enumerate(each["values"]) if value is not None]
        middles = [number + (place - (len(shown) - 1) / 2) * width for number in there]
        values = [each["values"][number] for number in there]
        bars = axes.bar(middles, values, width * 0.92, color=_colour(each))
        keys.append((bars, fill(each["name"], 34)))
        if "low" in each:
            spans = [
                [each["values"][number] - each["low"][number] for number in there],
                [each["high"][number] - each["values"][number] for number in there],
            ]
            style = {"fmt": "none", "capsize": 2, "color": TEXT.light, "elinewidth": 1.2}
            whiskers = axes.errorbar(middles, values, spans, **style)
    if whiskers and options.get("whiskerLabel"):
        keys.append((whiskers, options["whiskerLabel"]))
    named = [f"{group}\nn {count:,}" for group, count in zip(groups, counts, strict=True)] if counts else groups
    axes.set_xticks(range(len(groups)), named)
    axes.grid(False, axis="x")
    return keys


def _colour(series: Mapping[str, Any]) -> str:
    return SERIES[_series(series)].light


def _series(series: Mapping[str, Any]) -> int:
    """Returns which of the page's colours it is: 0 for `var(--series-1)`."""
    return int(series["colour"].removeprefix("var(--series-").removesuffix(")")) - 1


def _reference_label(reference: Mapping[str, Any]) -> str:
    return f"{reference['label']}: {reference['y']:g}"


if __name__ == "__main__":
    from experiments.imdb.report.charts import make_charts

    source = Path(sys.argv[1])
    drawn = make_charts(json.loads(source.read_text(encoding="utf-8")))
    draw_charts({name: drawn[name] for name in sys.argv[2:] or drawn}, source.parent, (".svg",))
