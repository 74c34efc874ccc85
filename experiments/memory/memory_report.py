"""What was found as one picture: losses against steps, the lengths that each cell solves, gradients against time.

To draw a picture again:  python -m experiments.memory.memory_report docs/memory/adding.json
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from experiments.memory.contestants import CONTESTANTS
from experiments.memory.outcome import Flow, Outcome, read
from experiments.memory.tables import cells, footnote, lengths, solved_text
from experiments.picture_report import save_figure

__all__ = ["draw", "make_figure"]

_TITLES = {
    "adding": "Adding: the sum of two marked numbers",
    "copy": "Copy memory: ten symbols, after a gap",
    "recall": "Delayed recall: the first symbol, many steps later",
    "order": "Temporal order: which of two signals came first",
}
_COLOURS = {  # a hue a family, the chrono ones lighter; told apart by colour-blind people, and in grey by their shade
    "simple_rnn": "#b5651d",
    "lstm": "#1f5fa8",
    "lstm_chrono": "#6fb1e8",
    "gru": "#1d6b40",
    "gru_chrono": "#6cc795",
    "gru_reset_before": "#a3b04a",
    "layer_norm_lstm": "#6a51a3",
    "layer_norm_gru": "#c994c7",
}
_LOSSES = {"adding": "mean squared error"}
_SMALL, _NORMAL = 8.5, 9.5


def draw(outcome: Outcome, path: Path) -> None:
    """Draws what there is into a file."""
    save_figure(make_figure(outcome), path)


def make_figure(outcome: Outcome) -> Any:
    """Draws what there is: three rows, for a page as narrow as a telephone's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 10.5), layout="constrained")
    rows: Any = figure.subfigures(3, 1, height_ratios=(3, 0.9 + 0.3 * len(cells(outcome)), 5))
    shown = lengths(outcome)[-2:]
    panels = rows[0].subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, length in zip(panels, shown, strict=True):
        _draw_losses(axes, outcome, length)
    panels[0].set_ylabel(_LOSSES.get(outcome.settings["task"], "cross-entropy"), fontsize=_SMALL)
    _draw_solved(rows[1].subplots(), outcome)
    pair = rows[2].subplots(1, 2, sharey=True)
    for axes, when in zip(pair, ("before", "after"), strict=True):
        _draw_flows(axes, outcome, lengths(outcome)[-1], when)
    pair[0].set_ylabel("norm of the gradient, relative to the last step's", fontsize=_SMALL)
    figure.suptitle(_TITLES[outcome.settings["task"]], fontsize=12, x=0.01, ha="left")
    _add_legend(rows[0], outcome)
    rows[2].supxlabel(footnote(outcome).replace(" · ", "\n", 1), fontsize=7, x=0.01, ha="left")
    return figure


def _draw_losses(axes: Any, outcome: Outcome, length: int) -> None:
    """Draws the loss of each cell: the seeds' mean as a line, their range as a band, a dot where all have solved it."""
    points = [point for cell in cells(outcome) if (point := outcome.find(cell, length))]
    for point in points:
        losses = _held([run.losses for run in point.runs])
        steps = [min(outcome.window * index, outcome.settings["steps"]) for index in range(1, len(losses[0]) + 1)]
        colour = _COLOURS[point.cell]
        by_step = list(zip(*losses, strict=True))
        axes.plot(steps, list(map(mean, by_step)), color=colour, linewidth=1.6)
        axes.fill_between(steps, list(map(min, by_step)), list(map(max, by_step)), color=colour, alpha=0.2, linewidth=0)
        if point.is_solved:
            axes.plot(steps[-1], mean(by_step[-1]), "o", color=colour, markersize=5)
    for place, side, height, line, text in (
        (0.99, "bottom", points[0].baseline, "--", "without memory"),
        (0.8, "top", points[0].solved_below, ":", "solved"),
    ):
        axes.axhline(height, color="#555555", linewidth=1, linestyle=line, zorder=1)
        style = {"ha": "right", "va": side, "fontsize": _SMALL, "transform": axes.get_yaxis_transform()}
        axes.text(place, height, f"{text}: {height:.3g}", **style)
    axes.set_yscale("log")
    axes.set_ylim(bottom=min(axes.get_ylim()[0], points[0].solved_below / 2))  # room for the text below the line
    axes.set_xlim(left=0)
    axes.set_title(f"loss at {length:,} steps", fontsize=_NORMAL, loc="left")
    axes.set_xlabel("training steps", fontsize=_SMALL)
    _tidy(axes, has_plain_numbers=True)


def _held(losses: Sequence[Sequence[float]]) -> list[list[float]]:
    """Lets each seed stay at its last loss until the last seed has ended."""
    longest = max(map(len, losses))
    return [[*each, *[each[-1]] * (longest - len(each))] for each in losses]


def _draw_solved(axes: Any, outcome: Outcome) -> None:
    """Draws a bar to the greatest length that every seed of a cell has solved, and the steps it took at each length."""
    names, columns = cells(outcome), lengths(outcome)
    for height, cell in enumerate(names):
        points = [outcome.find(cell, length) for length in columns]
        solved = [column for column, point in enumerate(points) if point and point.is_solved]
        axes.barh(height, solved[-1] + 1 if solved else 0.02, color=_COLOURS[cell], alpha=0.35, height=0.8)
        for column, point in enumerate(points):
            text = "" if point is None else solved_text(point)
            axes.text(column + 0.95, height, text, fontsize=_SMALL, ha="right", va="center")
    axes.set_yticks(range(len(names)), [CONTESTANTS[cell].label for cell in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xticks([column + 1 for column in range(len(columns))], [f"{length:,}" for length in columns])
    axes.set_xlim(0, len(columns) + 0.05)
    axes.set_xlabel("length", fontsize=_SMALL)
    title = "greatest length solved, and training steps until then (in brackets: the loss that is left)"
    axes.set_title(title, fontsize=_NORMAL, loc="left")
    _tidy(axes)


def _draw_flows(axes: Any, outcome: Outcome, length: int, when: str) -> None:
    """Draws the norms against time: of the hidden state's gradient a line, of the memory's a dashed one."""
    for cell in cells(outcome):
        point = outcome.find(cell, length)
        for array, flow in getattr(point, when).items() if point else ():
            num_steps = len(flow.log_norms)
            there = [(num_steps - lag, 10.0**log) for lag, log in enumerate(flow.log_norms) if log is not None]
            style = {"hidden": "-", "memory": "--"}.get(array, ":")
            symbol = {"hidden": "h", "memory": "c"}.get(array, array)
            label = f"{CONTESTANTS[cell].label}, {symbol}: {_decay(flow)}"
            axes.plot(*zip(*there, strict=True), style, color=_COLOURS[cell], linewidth=1.6, label=label)
    axes.set_yscale("log")
    axes.set_title(f"gradients at {length:,} steps, {when} training", fontsize=_NORMAL, loc="left")
    axes.set_xlabel("step t of the sequence", fontsize=_SMALL)
    axes.legend(
        fontsize=_SMALL,
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.45, -0.16),
        title="decades a step, half-life in steps",
        title_fontsize=_SMALL,
    )
    _tidy(axes)


def _decay(flow: Flow) -> str:
    slope = "" if flow.slope is None else f"{flow.slope:+.4f}"
    if flow.half_life is None:
        return f"{slope}, none"
    return f"{slope}, {flow.half_life:,.{1 if flow.half_life < 100 else 0}f}"


def _tidy(axes: Any, has_plain_numbers: bool = False) -> None:
    """Takes away what does not inform, and writes numbers of a log axis as people do."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if has_plain_numbers:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", alpha=0.2)


def _add_legend(figure: Any, outcome: Outcome) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=_COLOURS[cell], linewidth=2.5) for cell in cells(outcome)]
    labels = [CONTESTANTS[cell].label for cell in cells(outcome)]
    figure.legend(handles, labels, loc="outside upper left", ncols=5, fontsize=_SMALL, frameon=False, columnspacing=1.2)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        draw(read(Path(argument)), Path(argument).with_suffix(".svg"))
