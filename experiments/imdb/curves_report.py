"""Learning curves of several runs as one picture, and their accuracies as a table: a band and a row for each recipe."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from experiments.imdb.runs import read_recipe
from experiments.picture_report import save_figure
from recurrent.training.records import Record, Timing, best, read_lines

__all__ = ["Curves", "draw", "read_curves", "table"]

_PUBLISHED = 0.8870  # best epoch of the LSTM run that the default recipe reproduces
_COLOURS = {"simple_rnn": "#b5651d", "lstm": "#1f5fa8", "gru": "#2e8b57"}
_LABELS = {"simple_rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU (reset before)"}


class Curves(NamedTuple):
    """The seeds of one cell."""

    cell: str
    seeds: list[list[Record]]
    seconds: list[float]  # of training, an epoch


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


def draw(curves: Sequence[Curves], path: Path) -> None:
    """Draws validation accuracy and losses against epochs: the seeds' mean as a line, their range as a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for group in curves:
        colour, label = _COLOURS.get(group.cell, "#666666"), _LABELS.get(group.cell, group.cell)
        _band(left, group, "val_acc", colour, label, "-")
        _band(right, group, "val_loss", colour, None, "-")
        _band(right, group, "loss", colour, None, ":")
    left.axhline(_PUBLISHED, color="#999999", linewidth=0.8, linestyle="--")
    left.annotate("published LSTM, best epoch", (1, _PUBLISHED), xytext=(0, 3), textcoords="offset points", fontsize=7)
    left.set_ylim(bottom=max(0.7, left.get_ylim()[0]))  # a first epoch that has hardly begun would flatten the rest
    right.plot([], [], "-", color="#666666", label="validation")
    right.plot([], [], ":", color="#666666", label="training")
    for axes, title in ((left, "validation accuracy"), (right, "cross-entropy")):
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7, frameon=False)
    save_figure(figure, path)


def _band(axes, group: Curves, field: str, colour: str, label: str | None, style: str) -> None:
    """Draws one quantity, over the epochs that every seed has."""
    num_epochs = min(map(len, group.seeds))
    values = [[getattr(seed[epoch], field) for seed in group.seeds] for epoch in range(num_epochs)]
    epochs = range(1, num_epochs + 1)
    axes.plot(epochs, list(map(mean, values)), style, color=colour, label=label)
    axes.fill_between(epochs, list(map(min, values)), list(map(max, values)), color=colour, alpha=0.15, linewidth=0)


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")
