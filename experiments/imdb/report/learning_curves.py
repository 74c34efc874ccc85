"""Learning curves of several runs as one picture, and their accuracies as a table: a line and a row for each cell.

To draw a picture again:  python -m experiments.imdb.report.learning_curves docs/learning_curves.json
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from experiments.figures import CELLS, MUTED, REFERENCE, house_style, key_below, new_figure, save_figure
from experiments.html import to_json
from experiments.imdb.runs.files import read_recipe
from recurrent.training.atomic import write_text
from recurrent.training.run.records import Record, Timing, best, read_lines

__all__ = ["Band", "Curves", "Summary", "draw", "make_figure", "read_curves", "read_summaries", "summarise", "table"]

_PUBLISHED = 0.8870  # best epoch of the LSTM run that the default recipe reproduces
_FIELDS = ("val_acc", "val_loss", "loss")
_LABELS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU (reset before)"}


class Curves(NamedTuple):
    """The seeds of one cell."""

    cell: str
    seeds: list[list[Record]]
    seconds: list[float]  # of training, an epoch


class Band(NamedTuple):
    """A quantity of several seeds by epoch, from the first one on."""

    mean: list[float]
    low: list[float]
    high: list[float]


class Summary(NamedTuple):
    """What is drawn of a cell, over the epochs that every seed has."""

    cell: str
    num_seeds: int
    val_acc: Band
    val_loss: Band
    loss: Band


def read_curves(runs: Sequence[Path]) -> list[Curves]:
    """Reads the records of runs and gathers them by cell, in the order in which cells first occur.

    Raises:
        FileNotFoundError: a folder is no run.
        ValueError: no run was given, or one has no epoch yet.
    """
    if not runs:
        raise ValueError("Which runs? Give one folder or more, such as runs/*.")
    curves: dict[str, Curves] = {}
    for path in runs:
        cell = read_recipe(path).cell
        records = read_lines(path / "records.jsonl", Record)
        if not records:
            raise ValueError(f"{path} has no finished epoch yet.")
        group = curves.setdefault(cell, Curves(cell, [], []))
        group.seeds.append(records)
        group.seconds.extend(timing.seconds for timing in read_lines(path / "timings.jsonl", Timing))
    return list(curves.values())


def table(curves: Sequence[Curves]) -> list[str]:
    """Formats mean ± sd over seeds, as Markdown."""
    lines = ["| cell | seeds | best epoch | last epoch | seconds an epoch |", "|---|---|---|---|---|"]
    for group in curves:
        bests = [record.val_acc for seed in group.seeds if (record := best(seed))]
        lasts = [seed[-1].val_acc for seed in group.seeds]
        label = _LABELS.get(group.cell, group.cell)
        seconds = f"{mean(group.seconds):.1f}" if group.seconds else "-"
        lines.append(f"| {label} | {len(group.seeds)} | {_spread(bests)} | {_spread(lasts)} | {seconds} |")
    return lines


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


def summarise(curves: Sequence[Curves]) -> list[Summary]:
    """Takes mean, least and greatest over the seeds of each cell."""
    return [Summary(group.cell, len(group.seeds), *(_band(group, field) for field in _FIELDS)) for group in curves]


def _band(group: Curves, field: str) -> Band:
    num_epochs = min(map(len, group.seeds))
    values = [[getattr(seed[epoch], field) for seed in group.seeds] for epoch in range(num_epochs)]
    return Band(*(list(map(of, values)) for of in (mean, min, max)))


def draw(curves: Sequence[Curves], path: Path) -> None:
    """Draws the curves into a file, and writes what is drawn beside it, as .json."""
    summaries = summarise(curves)
    save_figure(make_figure(summaries), path)
    cells = [each._asdict() | {name: getattr(each, name)._asdict() for name in _FIELDS} for each in summaries]
    write_text(path.with_suffix(".json"), to_json({"cells": cells}) + "\n")


def read_summaries(path: Path) -> list[Summary]:
    """Reads what `draw` wrote."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [Summary(**each | {name: _from_json(each[name]) for name in _FIELDS}) for each in cells]


def _from_json(band: Mapping[str, Sequence[float | None]]) -> Band:
    """Restores a band; a number that JSON does not have is null there."""
    return Band(**{name: [math.nan if value is None else value for value in row] for name, row in band.items()})


def make_figure(summaries: Sequence[Summary]) -> Any:
    """Draws validation accuracy and losses against epochs: the seeds' mean as a line, their range as a band."""
    with house_style():
        figure = new_figure(6.2)
        upper, lower = figure.subplots(2, 1, sharex=True)
        for each in summaries:
            _draw_band(upper, each.cell, each.val_acc, "-")
            _draw_band(lower, each.cell, each.val_loss, "-")
            _draw_band(lower, each.cell, each.loss, ":")
        upper.axhline(_PUBLISHED, color=REFERENCE.light, linewidth=1.2, linestyle="--", zorder=1)
        upper.set_ylim(bottom=max(0.7, upper.get_ylim()[0]))  # a first epoch that has hardly begun flattens the rest
        upper.set_title("validation accuracy")
        lower.set_title("cross-entropy, nats per review")
        lower.set_xlabel("epoch")
        lower.xaxis.get_major_locator().set_params(integer=True)
        key_below(figure, _keys(summaries), columns=2)
        return figure


def _draw_band(axes: Any, cell: str, band: Band, line: str) -> None:
    style = CELLS[cell].style() | {"linestyle": line}
    epochs = range(1, len(band.mean) + 1)
    axes.plot(epochs, band.mean, **style)
    if band.low != band.high:
        axes.fill_between(epochs, band.low, band.high, color=style["color"], alpha=0.15, linewidth=0)


def _keys(summaries: Sequence[Summary]) -> list[tuple[Any, str]]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    keys: list[tuple[Any, str]] = [
        (Line2D([], [], **CELLS[each.cell].style()), _LABELS.get(each.cell, each.cell)) for each in summaries
    ]
    counts = sorted({each.num_seeds for each in summaries})
    if counts[-1] > 1:
        seeds = " to ".join(map(str, counts))
        keys.append((Patch(color=MUTED.light, alpha=0.25, linewidth=0), f"band: lowest to highest of {seeds} seeds"))
    for line, label in (
        ("-", "validation" if counts[-1] == 1 else "validation, mean over seeds"),
        (":", "training" if counts[-1] == 1 else "training, mean over seeds"),
    ):
        keys.append((Line2D([], [], color=MUTED.light, linestyle=line), label))
    reference = Line2D([], [], color=REFERENCE.light, linestyle="--", linewidth=1.2)
    return [*keys, (reference, f"published LSTM, best: {_PUBLISHED:.4f}")]


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        save_figure(make_figure(read_summaries(Path(argument))), Path(argument).with_suffix(".svg"))
