"""What a person sees: tables, a progress bar on a terminal, plain lines elsewhere. Nothing is computed here."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from experiments.imdb.doctor import Diagnosis
from experiments.imdb.metrics import Metrics
from experiments.imdb.predict import Prediction
from experiments.imdb.recipes import Recipe
from recurrent.training.records import Record, Timing, best

__all__ = [
    "console",
    "epoch_line",
    "epochs_table",
    "metrics_text",
    "prediction_line",
    "progress_bar",
    "save_share",
    "summary",
    "verdict",
    "without_controls",
]


def console() -> Console:
    """Makes the console: as wide as the terminal; lines are never folded where the output is no terminal."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def summary(
    out: Console, recipe: Recipe, facts: Any, params: Sequence[tuple[str, tuple[int, ...]]], device: str
) -> None:
    """Prints what is about to be trained on what."""
    out.print(f"[bold]{recipe.cell}[/] · seed {recipe.seed} · {recipe.epochs} epochs · {recipe.dtype} · {device}")
    out.print("data   " + " · ".join(f"{_words(name)} {_figure(value)}" for name, value in facts._asdict().items()))
    width = max(len(path) for path, _ in params)
    total = 0
    for path, shape in params:
        size = 1
        for axis in shape:
            size *= axis
        total += size
        out.print(f"params {path:<{width}}  {'×'.join(map(str, shape)):>12}  {size:>9,}")
    out.print(f"params {'together':<{width}}  {'':>12}  {total:>9,}")


def epoch_line(record: Record, timing: Timing, epochs: int, is_best: bool) -> str:
    """Formats an epoch."""
    rate = timing.steps / timing.seconds if timing.seconds else 0.0
    return (
        f"epoch {record.epoch:>2}/{epochs}  {timing.seconds:6.1f} s  {rate:6.1f} steps/s  "
        f"loss {record.loss:.4f}  acc {record.acc:.4f}  val_loss {record.val_loss:.4f}  val_acc {record.val_acc:.4f}"
        + ("  *" if is_best else "")
    )


def epochs_table(records: Sequence[Record], timings: Sequence[Timing]) -> Table:
    """Lays out all epochs, the best one marked."""
    table = Table("epoch", "loss", "acc", "val_loss", "val_acc", "seconds", "", title=None, pad_edge=False, box=None)
    seconds = {timing.epoch: timing.seconds for timing in timings}
    for record in records:
        is_best = record == best(records)
        cells = [f"{value:.4f}" for value in record[2:6]]
        time = f"{seconds[record.epoch]:.1f}" if record.epoch in seconds else "-"
        style = "bold" if is_best else None
        table.add_row(str(record.epoch), *cells, time, "best" if is_best else "", style=style)
    return table


def save_share(timings: Sequence[Timing]) -> str:
    """Says what checkpoints cost."""
    saving = sum(timing.save_seconds for timing in timings)
    whole = saving + sum(timing.seconds + timing.eval_seconds for timing in timings)
    return f"saving   {saving:.2f} s, {saving / whole if whole else 0:.1%} of the time"


def diagnosis_text(diagnosis: Diagnosis) -> list[str]:
    """Formats what the doctor found."""
    parts, width = diagnosis.parts, max(len(part.name) for part in diagnosis.parts)
    rows = [(part.name, "whole" if part.problem is None else "DAMAGED", part.problem or part.remark) for part in parts]
    rows += [("in use", "by", diagnosis.holder)] if diagnosis.holder else []
    lines = [f"{name:<{width}}  {verdict:<7}  {remark}".rstrip() for name, verdict, remark in rows]
    return [*lines, f"{'resume':<{width}}  {diagnosis.resume}"]


def metrics_text(split: str, step: int, metrics: Metrics) -> list[str]:
    """Formats an evaluation."""
    confusion = metrics.confusion
    interval = f"95 % interval {metrics.accuracy_low:.4f} to {metrics.accuracy_high:.4f}"
    return [
        f"{split}: {metrics.examples:,} reviews, checkpoint of step {step}",
        f"loss               {metrics.loss:.4f}",
        f"accuracy           {metrics.accuracy:.4f}   {interval}",
        f"AUC                {metrics.auc:.4f}",
        f"calibration error  {metrics.calibration_error:.4f}",
        "                   said negative   said positive",
        f"truly negative     {confusion.true_negative:>13,}   {confusion.false_positive:>13,}",
        f"truly positive     {confusion.false_negative:>13,}   {confusion.true_positive:>13,}",
    ]


def verdict(label: str | None, probability: float) -> str:
    """Formats an answer so that the number can't be taken for the confidence in a negative one.

    >>> verdict("negative", 0.1616), verdict(None, 0.4)
    ('negative (P(positive) 0.16)', 'nothing to read')
    """
    return "nothing to read" if label is None else f"{label} (P(positive) {probability:.2f})"


def prediction_line(prediction: Prediction, width: int = 80) -> str:
    """Formats a prediction on one line; the text is shortened to what is left of the width, at least 20 characters."""
    words, unknown = prediction.words, prediction.unknown_words
    counted = f"{words:,} word{'' if words == 1 else 's'}" + (f", {unknown:,} unknown" if unknown else "")
    head = f"{verdict(prediction.label, prediction.probability):<27}  {counted}{', cut' * prediction.is_cut}  "
    text = without_controls(" ".join(prediction.text.split()))
    room = max(20, width - len(head))
    return (head + (text if len(text) <= room else text[: room - 1] + "…")).rstrip()


def without_controls(text: str) -> str:
    """Puts a space in the place of each control character, which could move a terminal's cursor or hide text."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


@contextmanager
def progress_bar(out: Console, what: str) -> Any:
    """Yields a function (what, done, total) that moves a bar on a terminal, and now and then says a line elsewhere."""
    if not out.is_terminal:
        yield _plain_progress(out)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _plain_progress(out: Console, every_seconds: float = 10.0) -> Callable[[str, int, int], None]:
    last = time.monotonic()

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= every_seconds:
            last = time.monotonic()
            out.print(f"{what}: {done:,} of {total:,}", markup=False)

    return report


def _words(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        return " / ".join(f"{name} {_figure(each)}" for name, each in value.items())
    return (
        f"{value:,.4f}".rstrip("0").rstrip(".")
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )
