"""What accuracy costs, as charts: against the time of training and against the number of params."""

from collections.abc import Mapping
from typing import Any

from experiments.imdb.report.chart import Chart, Reference, Series, looks_of

__all__ = ["accuracy_by_params", "accuracy_by_time"]


def accuracy_by_time(figures: Mapping[str, Any]) -> Chart:
    """Shows each recipe's accuracy against the minutes that a run took."""
    return _against(figures, "Accuracy by time of training", "minutes per run", "seconds_a_run", 60)


def accuracy_by_params(figures: Mapping[str, Any]) -> Chart:
    """Shows each recipe's accuracy against its number of params."""
    return _against(figures, "Accuracy by number of params", "millions of params", "params", 1e6)


def _against(figures: Mapping[str, Any], title: str, label: str, field: str, unit: float) -> Chart:
    series, look, references = [], looks_of(figures), []
    if figures.get("nbsvm") and figures["split"] == "validation":  # the axis is the accuracy on validation reviews
        references = [Reference(figures["nbsvm"], "NBSVM, no recurrent network")]
    for name, group in figures["groups"].items():
        best, cost = group["best"], group.get(field)  # reports of earlier versions have no params
        if cost is None or best is None or best["mean"] is None:
            continue
        at = cost / unit
        whiskers = [(at, best["low"], best["high"])]
        series.append(Series(name, look[name], [(at, best["mean"])], line="", whiskers=whiskers))
    return Chart(
        title,
        label,
        "validation accuracy, best epoch",
        series,
        is_log_x=True,
        references=references,
        whisker_label="95 % interval",
    )
