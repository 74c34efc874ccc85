"""The tables of a report, as values; the page's template lays them out."""

from collections.abc import Mapping
from typing import Any

from experiments.imdb.report.chart import Chart
from experiments.imdb.report.formats import Table, bytes_text, interval_text, make_table, number, spread_text
from experiments.imdb.report.gradients import STATES, TIMES
from experiments.imdb.report.statistics import Difference, Spread, difference
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.markdown import markdown_table

__all__ = [
    "accuracy_lines",
    "accuracy_table",
    "changes_table",
    "chart_table",
    "cost_table",
    "epochs_table",
    "flow_table",
    "has_seeds",
    "is_binary",
    "metrics_table",
]

_KINDS = {"auc": "AUC", "macro_f1": "macro F1"}


def is_binary(figures: Mapping[str, Any]) -> bool:
    """Says whether the runs have two classes; reports of earlier versions do not name them."""
    return len(figures.get("classes", IMDB_CLASSES)) == 2


def has_seeds(figures: Mapping[str, Any]) -> bool:
    """Says whether a recipe has several seeds."""
    return any(len(group["runs"]) > 1 for group in figures["groups"].values())


def accuracy_table(figures: Mapping[str, Any]) -> Table:
    """Lists the accuracies of each recipe, as its runs recorded them."""
    head = ["recipe", "seeds", "best epoch", "95 % interval", "which", "last epoch", "95 % interval"]
    rows = []
    for label, group in figures["groups"].items():
        best, last = group["best"], group["last"]
        epochs = ", ".join(map(str, group["best_epochs"]))
        bests, lasts = ([spread_text(each), interval_text(each)] for each in (best, last))
        rows.append([label, len(group["runs"]), *bests, epochs, *lasts])
    what = "Validation accuracy: mean ± standard deviation over seeds" if has_seeds(figures) else "Validation accuracy"
    return make_table(what, head, rows)


def accuracy_lines(figures: Mapping[str, Any]) -> list[str]:
    """Formats the accuracies of each recipe as a Markdown table: mean ± standard deviation over seeds."""
    rows = []
    for label, group in figures["groups"].items():
        seconds = f"{group['seconds_an_epoch']:.1f}" if group["seconds_an_epoch"] else "-"
        best, last = spread_text(group["best"]) or "-", spread_text(group["last"])
        rows.append([label, str(len(group["runs"])), best, last, seconds])
    return markdown_table(["recipe", "seeds", "best epoch", "last epoch", "seconds per epoch"], rows)


def changes_table(figures: Mapping[str, Any]) -> Table:
    """Lists by how much the accuracies of each recipe differ from those of the first one."""
    (base, first), *others = figures["groups"].items()
    rows = []
    for label, group in others:
        row = [label]
        for kind in ("best", "last"):
            change = _change(group, first, kind)
            row += ["", ""] if change is None else [f"{change.mean:+.4f}", _ends(change)]
        rows.append(row)
    head = ["recipe", "best epoch", "95 % interval", "last epoch", "95 % interval"]
    return make_table(f"Change of the validation accuracy from {base}", head, rows)


def _change(group: Mapping[str, Any], first: Mapping[str, Any], kind: str) -> Difference | None:
    if group[kind] is None or first[kind] is None:
        return None
    one, other = Spread(**group[kind]), Spread(**first[kind])
    return difference(one, other, len(group["runs"]) - one.num_left_out, len(first["runs"]) - other.num_left_out)


def _ends(change: Difference) -> str:
    return "" if change.low is None else f"{change.low:+.4f} to {change.high:+.4f}"


def metrics_table(figures: Mapping[str, Any]) -> Table:
    """Lists the metrics of each run on the split."""
    kind, rows = "auc" if is_binary(figures) else "macro_f1", []
    for run in figures["runs"].values():
        metrics = run["metrics"]
        interval = f"{metrics['accuracy_low']:.4f} to {metrics['accuracy_high']:.4f}"
        others = [f"{metrics[name]:.4f}" for name in (kind, "loss", "calibration_error")]
        rows.append([run["label"], f"{run['step']:,}", f"{metrics['accuracy']:.4f}", interval, *others])
    head = ["run", "step", "accuracy", "95 % interval", _KINDS[kind], "loss", "calibration error"]
    return make_table(f"Each run on the {figures['reviews']:,} {figures['split']} reviews", head, rows)


def flow_table(figures: Mapping[str, Any]) -> Table:
    """Lists how fast gradients fall, before and after training."""
    rows = []
    for label, group in figures["groups"].items():
        for time, in_words in TIMES.items():
            for state, found in group["gradient_flow"][time].items():
                each = [figures["runs"][name]["gradient_flow"][time][state]["half_life"] for name in group["runs"]]
                seeds = f"{min(each):.1f} to {max(each):.1f}" if len(each) > 1 else ""
                reach = "never" if found["reach"] is None else str(found["reach"])
                row = [f"{label}, {STATES.get(state, state)}, {in_words}", _number(found["half_life"], 1), seeds]
                rows.append([*row, _number(found["slope"], 4), reach])
    head = ["gradient", "half-life in words", "single seeds", "slope of log₁₀ per word", "words until 1 % is left"]
    return make_table("How a gradient falls, word by word from the end", head, rows)


def cost_table(figures: Mapping[str, Any]) -> Table:
    """Lists time and memory of each recipe."""
    rows = []
    for label, group in figures["groups"].items():
        seconds = [f"{value:,.1f}" if value else "" for value in (group["seconds_an_epoch"], group["seconds_a_run"])]
        rows.append([label, *seconds, bytes_text(group["forward_bytes"]), bytes_text(group["gradient_bytes"])])
    head = ["recipe", "seconds per epoch", "seconds per run", "memory of a forward pass", "memory with gradients"]
    return make_table("Time of training and memory of one batch", head, rows)


def epochs_table(run: Mapping[str, Any]) -> Table:
    """Lists the epochs of one run."""
    seconds = {timing["epoch"]: timing["seconds"] for timing in run["timings"]}
    rows = [
        [
            record["epoch"],
            *(_number(record[field], 4) for field in ("loss", "acc", "val_loss", "val_acc")),
            _number(seconds.get(record["epoch"]), 1),
        ]
        for record in run["records"]
    ]
    head = ["epoch", "loss", "accuracy", "validation loss", "validation accuracy", "seconds"]
    return make_table("Epochs", head, rows)


def chart_table(chart: Chart) -> Table:
    """Lists the numbers of a chart, a column for each series."""
    columns = [{_key(chart, x): y for x, y in each.points} for each in chart.series]
    keys = sorted({key for column in columns for key in column})
    rows = []
    for key in keys:
        name = chart.x_names[int(key)] if chart.x_names else number(key)
        counts = [f"{chart.counts[int(key)]:,}"] if chart.counts else []
        rows.append([name, *(number(column.get(key)) for column in columns), *counts])
    names = [each.name for each in chart.series]
    return make_table(chart.title, [chart.x_label, *names, *(["reviews"] if chart.counts else [])], rows)


def _key(chart: Chart, x: float) -> float:
    """Returns where a point belongs: the number of its bin, beside whose middle it is drawn, or its place."""
    return round(x) if chart.x_names else x


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
