"""Learning curves: validation accuracy and losses by epoch, the seeds of one recipe as their mean and their range.

To draw the picture again from its file:  python -m experiments.imdb.report.curves docs/learning_curves.json
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.command_line import redraw, start
from experiments.html import to_json
from experiments.imdb.report.chart import (
    Chart,
    Picture,
    Reference,
    Series,
    looks,
    of_each,
    points,
    seeds_in_words,
    spans,
)
from recurrent.training.atomic import write_text

__all__ = ["Band", "Curves", "learning_curves", "read_curves", "summarise", "write_curves"]

_PUBLISHED = Reference(0.8870, "published LSTM, best")
_FIELDS = ("val_acc", "val_loss", "loss")


class Band(NamedTuple):
    """A quantity of several seeds, from the first epoch on."""

    mean: list[float]
    low: list[float]
    high: list[float]


class Curves(NamedTuple):
    """What is drawn of a recipe, over the epochs that every seed has."""

    label: str
    cell: str
    num_seeds: int
    val_acc: Band
    val_loss: Band
    loss: Band


def summarise(figures: Mapping[str, Any]) -> list[Curves]:
    """Takes mean, lowest and highest over the seeds of each recipe; runs of different recipes are never mixed."""
    curves = []
    for label, group in figures["groups"].items():
        seeds = of_each(figures, label, "records")
        bands = [_band(seeds, field) for field in _FIELDS]
        curves.append(Curves(label, group["cell"], len(seeds), *bands))
    return curves


def _band(seeds: Sequence[Sequence[Mapping[str, float]]], field: str) -> Band:
    num_epochs = min(map(len, seeds))
    values = np.array([[record[field] for record in seed[:num_epochs]] for seed in seeds], np.float64)
    return Band(*(each.tolist() for each in (values.mean(axis=0), values.min(axis=0), values.max(axis=0))))


def write_curves(curves: Sequence[Curves], path: Path) -> None:
    """Writes curves as JSON."""
    recipes = [each._asdict() | {name: getattr(each, name)._asdict() for name in _FIELDS} for each in curves]
    write_text(path, to_json({"recipes": recipes}) + "\n")


def read_curves(path: Path) -> list[Curves]:
    """Reads what `write_curves` wrote."""
    recipes = json.loads(path.read_text(encoding="utf-8"))["recipes"]
    return [Curves(**each | {name: _from_json(each[name]) for name in _FIELDS}) for each in recipes]


def _from_json(band: Mapping[str, Sequence[float | None]]) -> Band:
    """Restores a band; JSON has null for NaN and infinity."""
    return Band(**{name: [math.nan if value is None else value for value in row] for name, row in band.items()})


def learning_curves(curves: Sequence[Curves]) -> Picture:
    """Describes the picture: validation accuracy with each recipe's best epoch marked, and below it the losses."""
    look = looks({each.label: each.cell for each in curves})
    band = seeds_in_words([each.num_seeds for each in curves])
    mean = ", mean over seeds" if band else ""
    accuracies = [
        Series(each.label, look[each.label], **_line(each.val_acc), marks=_best(each.val_acc)) for each in curves
    ]
    losses = [
        Series(f"{each.label}, {kind}", look[each.label], **_line(of_kind), line=line, key=None)
        for each in curves
        for kind, of_kind, line in (("validation", each.val_loss, "-"), ("training", each.loss, ":"))
    ]
    accuracy = Chart(
        "validation accuracy",
        "epoch",
        "accuracy",
        accuracies,
        y_range=(_lowest(curves), None),
        references=[_PUBLISHED],
        band_label=band,
        mark_label="best epoch",
    )
    loss = Chart(
        "cross-entropy, nats per review",
        "epoch",
        "cross-entropy",
        losses,
        line_labels={"-": f"validation{mean}", ":": f"training{mean}"},
    )
    return Picture("learning_curves", "Learning curves", [accuracy, loss])


def _line(band: Band) -> dict[str, Any]:
    """Returns a band as points by epoch, and as spans where seeds differ."""
    epochs = range(1, len(band.mean) + 1)
    is_spread = band.low != band.high and not np.array_equal(band.low, band.high, equal_nan=True)
    return {"points": points(epochs, band.mean), "band": spans(epochs, band.low, band.high) if is_spread else []}


def _lowest(curves: Sequence[Curves]) -> float | None:
    """Returns the low end of the accuracy axis: 0.7 if a poor first epoch would flatten the rest, else None."""
    lows = [value for each in curves for value in each.val_acc.low]
    means = [value for each in curves for value in each.val_acc.mean]
    return 0.7 if min(lows, default=1) < 0.7 and max(means, default=0) > 0.75 else None


def _best(band: Band) -> list[tuple[float, float | None]]:
    means = np.array(band.mean)
    if not np.isfinite(means).any():
        return []
    best = int(np.nanargmax(means))
    return [(best + 1, band.mean[best])]


def _redraw(path: Path) -> None:
    from experiments.imdb.report.draw import save_picture

    save_picture(learning_curves(read_curves(path)), path.with_suffix(".svg"))


if __name__ == "__main__":
    start(lambda arguments: redraw("imdb", arguments, _redraw, "report.curves"))
