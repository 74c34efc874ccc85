"""The charts of a report as files, for a paper or a README: the same descriptions that the page draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from experiments.imdb.report.series import Chart
from experiments.picture_report import save_figure

__all__ = ["draw_charts"]

_COLOURS = {  # those of the page in the light
    "var(--series-1)": "#1f5fa8",
    "var(--series-2)": "#1f7a4a",
    "var(--series-3)": "#a85400",
    "var(--series-4)": "#8e3a9d",
    "var(--series-5)": "#b3261e",
    "var(--series-6)": "#00707a",
    "var(--series-7)": "#6b6500",
    "var(--series-8)": "#5a5f66",
}


def draw_charts(charts: Mapping[str, Chart], folder: Path) -> list[Path]:
    """Draws each chart as .svg and .png, and returns the files. The same charts give the same bytes."""
    from matplotlib.figure import Figure

    files = []
    for name, chart in charts.items():
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.subplots()
        shown = [each for each in chart.options["series"] if not each.get("hidden")]
        (_draw_lines if chart.kind == "line" else _draw_bars)(axes, chart.options, shown)
        _finish(axes, chart.options)
        for suffix in (".svg", ".png"):
            files.append(folder / f"{name}{suffix}")
            save_figure(figure, files[-1])
    return files


def _draw_lines(axes: Any, options: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> None:
    for each in shown:
        colour = _COLOURS[each["colour"]]
        x, y = zip(*each["points"], strict=True)
        values = [float("nan") if value is None else value for value in y]
        style = ":" if each.get("dash") else "-"
        width = 0.9 if each.get("thin") else 1.6
        axes.plot(x, values, style, color=colour, label=_label(each), linewidth=width)
        if each.get("band"):
            axes.fill_between(*zip(*each["band"], strict=True), color=colour, alpha=0.15, linewidth=0)
        for points in (each["points"] if each.get("dots") else [], each.get("marks", [])):
            if points:
                axes.plot(*zip(*points, strict=True), "o", color=colour, markersize=5, markeredgecolor="white")
    if options.get("diagonal"):
        axes.axline((0, 0), slope=1, color="#999999", linewidth=0.8, linestyle="--")
    if options.get("yLog"):
        axes.set_yscale("log")


def _draw_bars(axes: Any, options: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> None:
    groups, counts = options["groups"], options.get("counts") or []
    width = 0.8 / len(shown)
    for place, each in enumerate(shown):
        there = [number for number, value in enumerate(each["values"]) if value is not None]
        middles = [number + (place - (len(shown) - 1) / 2) * width for number in there]
        values = [each["values"][number] for number in there]
        spans = None
        if "low" in each:
            spans = [
                [each["values"][number] - each["low"][number] for number in there],
                [each["high"][number] - each["values"][number] for number in there],
            ]
        bars = {"color": _COLOURS[each["colour"]], "label": _label(each)}
        axes.bar(middles, values, width * 0.92, yerr=spans, capsize=2, error_kw={"elinewidth": 0.9}, **bars)
    named = [f"{group}\nn {count:,}" for group, count in zip(groups, counts, strict=True)] if counts else groups
    axes.set_xticks(range(len(groups)), named, fontsize=7)


def _label(series: Mapping[str, Any]) -> str:
    return fill(series["name"], 40)


def _finish(axes: Any, options: Mapping[str, Any]) -> None:
    for reference in options.get("references", []):
        axes.axhline(reference["y"], color="#999999", linewidth=0.8, linestyle="--")
        place = {"xytext": (3, 3), "textcoords": "offset points", "xycoords": axes.get_yaxis_transform()}
        axes.annotate(reference["label"], (0, reference["y"]), fontsize=7, **place)
    if options.get("xRange"):
        axes.set_xlim(*options["xRange"])
    low, high = options.get("yRange", (None, None))
    axes.set_ylim(bottom=low, top=high)
    axes.set_title(options["title"], fontsize=10, loc="left")
    axes.set_xlabel(options["xLabel"], fontsize=9)
    axes.set_ylabel(options["yLabel"], fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.legend(fontsize=7, frameon=False)
