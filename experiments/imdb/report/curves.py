"""What training is like, as charts: accuracy and loss over epochs, gradients back through the words of a review."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.imdb.report.series import Chart, band, colour, in_company, points, run_of, spans_seeds

__all__ = ["accuracy", "gradient_flow", "loss"]

_PUBLISHED = {"y": 0.8870, "label": "published LSTM, best epoch"}


def accuracy(figures: Mapping[str, Any]) -> Chart:
    """Draws validation accuracy over epochs, the best epoch marked."""
    series = [_over_epochs(figures, group, "val_acc") for group in figures["groups"]]
    series += [_single(figures, name, "val_acc") for name in in_company(figures)]
    # A first epoch that has hardly begun would flatten the rest.
    least = min(y for each in series for _, y in each["points"])
    options = {
        "title": "Validation accuracy",
        "xLabel": "epoch",
        "yLabel": "accuracy",
        "yRange": [max(0.7, least - 0.01), None] if least < 0.7 else None,
        "references": [_PUBLISHED],
        "markLabel": "best epoch",
        **spans_seeds(figures),
        "series": series,
    }
    return Chart("line", {name: value for name, value in options.items() if value is not None})


def loss(figures: Mapping[str, Any]) -> Chart:
    """Draws the loss over epochs, on validation and training reviews."""
    series = []
    for group in figures["groups"]:
        validation, training = (_over_epochs(figures, group, field) for field in ("val_loss", "loss"))
        series += [
            {**validation, "name": f"{group}, validation", "marks": []},
            {**training, "name": f"{group}, training", "dash": "2 4", "marks": [], "band": []},
        ]
    series += [_single(figures, name, "val_loss") | {"marks": []} for name in in_company(figures)]
    options = {"title": "Cross-entropy", "xLabel": "epoch", "yLabel": "nats per review", "series": series}
    return Chart("line", options | spans_seeds(figures))


def _over_epochs(figures: Mapping[str, Any], group: str, field: str) -> dict[str, Any]:
    """Draws a field of the records of a group, over the epochs that every seed has."""
    seeds = [run_of(figures, name)["records"] for name in figures["groups"][group]["runs"]]
    num_epochs = min(map(len, seeds))
    values = np.array([[record[field] for record in seed[:num_epochs]] for seed in seeds])
    epochs = [record["epoch"] for record in seeds[0][:num_epochs]]
    means = values.mean(axis=0)
    best = int(np.nanargmax(means)) if np.isfinite(means).any() else 0
    return {
        "name": group,
        "colour": colour(figures, group),
        "points": points(epochs, means),
        "band": band(epochs, values),
        "marks": points(epochs[best : best + 1], means[best : best + 1]),
    }


def _single(figures: Mapping[str, Any], name: str, field: str) -> dict[str, Any]:
    run = run_of(figures, name)
    records = run["records"]
    best = max(records, key=lambda record: (record["val_acc"], -record["epoch"]))
    return {
        "name": run["label"],
        "colour": colour(figures, run["group"]),
        "points": points([record["epoch"] for record in records], [record[field] for record in records]),
        "marks": [[best["epoch"], best[field]]],
        "thin": True,
        "hidden": True,
    }


def gradient_flow(figures: Mapping[str, Any]) -> Chart:
    """Draws what is left of a gradient by the number of words from the end, before and after training."""
    series = []
    for group, summary in figures["groups"].items():
        for time, dash in (("start", "2 4"), ("end", "")):
            for name, found in summary["gradient_flow"][time].items():
                # Zero is below the range of its numbers, or an LSTM's last memory, which nothing reads.
                points = [[lag, share or None] for lag, share in enumerate(np.asarray(found["share"]).tolist())]
                state = "h" if name == "hidden" else "c" if name == "memory" else name
                series.append(
                    {
                        "name": f"{group}, {state}, {time}",
                        "colour": colour(figures, group),
                        "points": points,
                        "dash": dash,
                        "thin": name != "hidden",
                    }
                )
    options = {
        "title": "What is left of a gradient going back",
        "xLabel": "words from the end",
        "yLabel": "share of the gradient at the last word's h",
        "yLog": True,
        "yRange": [1e-12, None],
        "series": series,
    }
    return Chart("line", options)
