"""The tables of a report."""

import json
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from experiments.html import escape
from experiments.imdb.report.html import bytes_text, details, spread_text, table
from experiments.imdb.report.series import has_seeds

__all__ = [
    "accuracy_table",
    "confusion_table",
    "cost_table",
    "flow_table",
    "metrics_table",
    "mistakes_list",
    "run_list",
]

_STATES = {"hidden": "h", "memory": "c"}


def accuracy_table(figures: Mapping[str, Any]) -> str:
    """Lists what the records say of each recipe."""
    rows = []
    for label, group in figures["groups"].items():
        best, last = group["best"], group["last"]
        rows.append(
            [
                label,
                len(group["runs"]),
                spread_text(best),
                _interval(best),
                ", ".join(map(str, group["best_epochs"])),
                spread_text(last),
                _interval(last),
            ]
        )
    head = ["recipe", "seeds", "best epoch", "95 % interval", "which", "last epoch", "95 % interval"]
    what = "Validation accuracy: mean ± standard deviation over seeds" if has_seeds(figures) else "Validation accuracy"
    return table(what, head, rows)


def metrics_table(figures: Mapping[str, Any]) -> str:
    """Lists the metrics of each run on the split."""
    rows = []
    for run in figures["runs"].values():
        metrics = run["metrics"]
        interval = f"{metrics['accuracy_low']:.4f} to {metrics['accuracy_high']:.4f}"
        others = [f"{metrics[name]:.4f}" for name in ("auc", "loss", "calibration_error")]
        rows.append([run["label"], f"{run['step']:,}", f"{metrics['accuracy']:.4f}", interval, *others])
    head = ["run", "step", "accuracy", "95 % interval", "AUC", "loss", "calibration error"]
    return table(f"Each run on the {figures['reviews']:,} {figures['split']} reviews", head, rows)


def confusion_table(figures: Mapping[str, Any], label: str) -> str:
    """Writes a recipe's confusion matrix: mean counts over seeds, and shares of the reviews of a true label."""
    counts = [figures["runs"][name]["metrics"]["confusion"] for name in figures["groups"][label]["runs"]]
    means = {name: mean(each[name] for each in counts) for name in counts[0]}
    rows = []
    for truth, names in (
        ("negative", ("true_negative", "false_positive")),
        ("positive", ("false_negative", "true_positive")),
    ):
        whole = sum(means[name] for name in names)
        cells = [f"{means[name]:,.0f} ({means[name] / whole:.1%})" if whole else "0" for name in names]
        rows.append([f"truly {truth}", *cells])
    seeds = len(counts)
    caption = f"{label}: " + (f"mean of {seeds} seeds" if seeds > 1 else "one seed")
    return table(caption, ["", "said negative", "said positive"], rows)


def flow_table(figures: Mapping[str, Any]) -> str:
    """Lists how fast gradients fall, before and after training."""
    rows = []
    for label, group in figures["groups"].items():
        for time in ("start", "end"):
            for state, found in group["gradient_flow"][time].items():
                each = [figures["runs"][name]["gradient_flow"][time][state]["half_life"] for name in group["runs"]]
                seeds = f"{min(each):.1f} to {max(each):.1f}" if len(each) > 1 else ""
                reach = "never" if found["reach"] is None else str(found["reach"])
                row = [f"{label}, {_STATES.get(state, state)}, {time} of training", f"{found['half_life']:.1f}", seeds]
                rows.append([*row, f"{found['slope']:.4f}", reach])
    head = ["gradient", "half-life, words", "of single seeds", "slope of log₁₀, a word", "words until 1 % is left"]
    return table("How a gradient falls, word by word from the end", head, rows)


def cost_table(figures: Mapping[str, Any]) -> str:
    """Lists time and memory of each recipe."""
    rows = []
    for label, group in figures["groups"].items():
        seconds = [f"{value:,.1f}" if value else "" for value in (group["seconds_an_epoch"], group["seconds_a_run"])]
        rows.append([label, *seconds, bytes_text(group["forward_bytes"]), bytes_text(group["gradient_bytes"])])
    head = ["recipe", "seconds an epoch", "seconds a run", "memory forwards", "memory with gradients"]
    return table("Time of training and memory of one batch", head, rows)


def mistakes_list(figures: Mapping[str, Any], texts: Sequence[str]) -> str:
    """Writes the worst mistakes with their texts, long ones folded up."""
    items = []
    for mistake, text in zip(figures["mistakes"], texts, strict=True):
        truth = "positive" if mistake["label"] else "negative"
        said = f"{mistake['probability']:.4f}" if mistake["probability"] >= 1e-4 else f"{mistake['probability']:.1e}"
        label = figures["runs"][mistake["run"]]["label"]
        facts = (
            f"truly {truth}; {label} says positive with {said} (loss {mistake['loss']:.2f}); "
            f"wrong in {mistake['num_wrong']} of {len(figures['runs'])} runs; review {mistake['example']}"
        )
        text = text.replace("<br />", "\n")  # the reviews' own line ends
        start = text if len(text) <= 160 else text[:160].rsplit(" ", 1)[0] + " …"
        whole = f'<p class="text">{escape(text)}</p>'
        shown = whole if start == text else f"<details><summary>{escape(start)}</summary>{whole}</details>"
        items.append(f"<li><small>{escape(facts)}</small>{shown}</li>")
    return f"<ol>{''.join(items)}</ol>" if items else "<p>No run answered wrongly.</p>"


def run_list(figures: Mapping[str, Any]) -> str:
    """Writes epochs and manifest of every run, on demand."""
    parts = []
    for name, run in figures["runs"].items():
        seconds = {timing["epoch"]: timing["seconds"] for timing in run["timings"]}
        rows = [
            [
                record["epoch"],
                *(f"{record[field]:.4f}" for field in ("loss", "acc", "val_loss", "val_acc")),
                f"{seconds[record['epoch']]:.1f}" if record["epoch"] in seconds else "",
            ]
            for record in run["records"]
        ]
        head = ["epoch", "loss", "accuracy", "validation loss", "validation accuracy", "seconds"]
        manifest = escape(json.dumps(run["manifest"], indent=2, ensure_ascii=False))
        parts.append(details(f"{run['label']} ({name})", table("Epochs", head, rows) + f"<pre>{manifest}</pre>"))
    return "".join(parts)


def _interval(spread: Mapping[str, Any] | None) -> str:
    if spread is None:
        return ""
    kind = "" if spread["kind"] == "t" else " (Wilson)"
    return f"{spread['low']:.4f} to {spread['high']:.4f}{kind}"
