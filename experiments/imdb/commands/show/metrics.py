"""Lines about an evaluation: metrics, and the confusion matrix with the names of classes."""

from collections.abc import Sequence

from experiments.imdb.commands.show.terminal import short_name
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.training.class_metrics import ClassMetrics
from experiments.imdb.training.metrics import Metrics

__all__ = ["confusion_lines", "metrics_text"]

_MOST_COLUMNS, _MOST_PAIRS = 8, 10


def metrics_text(
    split: str, step: int, metrics: Metrics | ClassMetrics, classes: Sequence[str] = IMDB_CLASSES
) -> list[str]:
    """Formats an evaluation."""
    interval = f"95 % interval {metrics.accuracy_low:.4f} to {metrics.accuracy_high:.4f}"
    of_kind = (
        f"AUC                {metrics.auc:.4f}"
        if isinstance(metrics, Metrics)
        else f"macro F1           {metrics.macro_f1:.4f}"
    )
    return [
        f"{split}: {metrics.examples:,} reviews, checkpoint of step {step}",
        f"loss               {metrics.loss:.4f}",
        f"accuracy           {metrics.accuracy:.4f}   {interval}",
        of_kind,
        f"calibration error  {metrics.calibration_error:.4f}",
        *confusion_lines(metrics, classes),
    ]


def confusion_lines(metrics: Metrics | ClassMetrics, classes: Sequence[str]) -> list[str]:
    """Formats a confusion matrix: as a table, or, for many classes, as the pairs that are confused most often."""
    names = [short_name(name) for name in classes]
    if isinstance(metrics, Metrics):
        (tn, fp, fn, tp) = metrics.confusion
        return _table(names, [[tn, fp], [fn, tp]], "predicted ")
    if len(names) <= _MOST_COLUMNS:
        return ["predicted, from left to right:", *_table(names, metrics.confusion, "")]
    return _pairs(names, metrics.confusion)


def _table(names: Sequence[str], counts: Sequence[Sequence[int]], before: str) -> list[str]:
    rows = [f"actual {name}" for name in names]
    heads = [f"{before}{name}" for name in names]
    first = max(map(len, rows))
    widths = [max([len(head), *(len(f"{row[i]:,}") for row in counts)]) for i, head in enumerate(heads)]
    lines = [" " * first + "  " + "   ".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))]
    for row, of_class in zip(rows, counts, strict=True):
        cells = "   ".join(f"{count:>{width},}" for count, width in zip(of_class, widths, strict=True))
        lines.append(f"{row:<{first}}  {cells}")
    return lines


def _pairs(names: Sequence[str], counts: Sequence[Sequence[int]]) -> list[str]:
    wrong = [
        (count, actual, predicted)
        for actual, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count and actual != predicted
    ]
    wrong.sort(key=lambda each: (-each[0], each[1:]))
    return [
        f"{count:>8,}  actual {names[actual]}, predicted {names[predicted]}"
        for count, actual, predicted in wrong[:_MOST_PAIRS]
    ]
