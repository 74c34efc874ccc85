"""What a person sees: tables, a progress bar on a terminal, plain lines elsewhere. Nothing is computed here."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from experiments.imdb.answers.predict import Prediction
from experiments.imdb.runs.doctor import Diagnosis
from experiments.imdb.training.metrics import Metrics
from experiments.imdb.training.recipes import Recipe
from recurrent.training.run.records import Record, Timing, best

__all__ = [
    "console",
    "epoch_line",
    "epochs_table",
    "in_lines",
    "metrics_text",
    "params_table",
    "prediction_line",
    "progress_bar",
    "save_share",
    "summary",
    "verdict",
    "without_controls",
]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Lets the error pass, to be answered like that of any other output; Rich would end the process with 1."""
        raise BrokenPipeError


def console() -> Console:
    """Makes the console: as wide as the terminal; lines are never folded where the output is no terminal."""
    return _Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def summary(
    out: Console, recipe: Recipe, facts: Any, params: Sequence[tuple[str, tuple[int, ...]]], device: str
) -> None:
    """Prints what is about to be trained on what."""
    of_run = [recipe.cell, f"seed {recipe.seed}", f"{recipe.epochs} epochs", recipe.dtype, device]
    out.print("\n".join(in_lines(of_run, out.width, " · ")), markup=False)
    of_data = [f"{_words(name)} {_figure(value)}" for name, value in facts._asdict().items()]
    out.print("\n".join(in_lines(of_data, out.width, " · ", "data   ")), markup=False)
    out.print("\n".join(params_table(params, out.width)), markup=False)


def in_lines(parts: Sequence[str], width: int, separator: str = "  ", heading: str = "") -> list[str]:
    """Sets parts side by side on as few lines as have room for them; a part is never broken.

    >>> in_lines(["one 1", "two 2", "three 3"], width=18, separator=" · ", heading="data ")
    ['data one 1 · two 2', '     three 3']
    """
    lines, line = [], heading
    for part in parts:
        is_first = line in (heading, " " * len(heading))
        if not is_first and len(line) + len(separator) + len(part) > width:
            lines.append(line)
            line, is_first = " " * len(heading), True
        line += part if is_first else separator + part
    return [*lines, line]


def params_table(params: Sequence[tuple[str, tuple[int, ...]]], width: int) -> list[str]:
    """Lays out names, shapes and sizes; names that leave no room lose their beginning."""
    rows = [(name, "×".join(map(str, shape)), f"{math.prod(shape):,}") for name, shape in params]
    rows.append(("together", "", f"{sum(math.prod(shape) for _, shape in params):,}"))
    names, shapes, sizes = (max(map(len, column)) for column in zip(*rows, strict=True))
    names = max(8, min(names, width - len("params     ") - shapes - sizes))
    short = [name if len(name) <= names else "…" + name[1 - names :] for name, _, _ in rows]
    return [
        f"params {name:<{names}}  {shape:>{shapes}}  {size:>{sizes}}"
        for name, (_, shape, size) in zip(short, rows, strict=True)
    ]


def epoch_line(record: Record, timing: Timing, epochs: int, is_best: bool, width: int = 80) -> str:
    """Formats an epoch; on a narrow terminal it takes two lines."""
    heading = f"epoch {record.epoch:>2}/{epochs}  "
    parts = [
        f"loss {record.loss:.4f} acc {record.acc:.4f}",
        f"val_loss {record.val_loss:.4f} val_acc {record.val_acc:.4f}{'*' if is_best else ' '}",
        f"{timing.seconds:.1f} s",
    ]
    return "\n".join(in_lines(parts, width, "  ", heading)).rstrip()


def epochs_table(records: Sequence[Record], timings: Sequence[Timing], width: int = 80) -> Table:
    """Lays out all epochs, the best one marked; without speed where there is no room for it."""
    has_speed = width >= 70
    columns = ["epoch", "loss", "acc", "val_loss", "val_acc", "seconds", *(["steps/s"] if has_speed else []), ""]
    table = Table(*columns, title=None, pad_edge=False, box=None)
    by_epoch = {timing.epoch: timing for timing in timings}
    for record in records:
        is_best, timing = record == best(records), by_epoch.get(record.epoch)
        cells = [f"{value:.4f}" for value in record[2:6]]
        cells.append("-" if timing is None else f"{timing.seconds:.1f}")
        if has_speed:
            cells.append("-" if timing is None or not timing.seconds else f"{timing.steps / timing.seconds:.1f}")
        table.add_row(str(record.epoch), *cells, "best" if is_best else "", style="bold" if is_best else None)
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
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True, expand=True) as bar:
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
