"""How much of a gradient is left after each word, going back through a review, as a chart."""

from collections.abc import Mapping
from typing import Any, Literal

from experiments.imdb.report.chart import Chart, Series, looks_of, points

__all__ = ["STATES", "TIMES", "gradient_chart"]

STATES = {"hidden": "h", "memory": "c"}
"""Array of a cell's state -> its letter."""
TIMES = {"start": "before training", "end": "after training"}

_LINES: dict[tuple[str, str], Literal["-", "--", ":", "-."]] = {
    ("hidden", "end"): "-",
    ("memory", "end"): "--",
    ("hidden", "start"): ":",
    ("memory", "start"): "-.",
}


def gradient_chart(figures: Mapping[str, Any]) -> Chart:
    """Shows what is left of a gradient by the number of words from the end, before and after training."""
    series, used = [], {}
    for label, look in looks_of(figures).items():
        for time in TIMES:
            for state, found in figures["groups"][label]["gradient_flow"][time].items():
                # Zero is a gradient below float32's range, or that of an LSTM's last memory, which no output reads.
                shares = [share or None for share in found["share"]]
                name = f"{label}, {STATES.get(state, state)}, {TIMES[time]}"
                used[state, time] = _LINES.get((state, time), "-")
                key = label if (state, time) == ("hidden", "end") else None  # line styles have entries of their own
                series.append(Series(name, look, points(range(len(shares)), shares), used[state, time], key=key))
    return Chart(
        "Gradient left after going back through a review",
        "words from the end",
        "share of the last word's gradient",
        series,
        y_range=(1e-12, None),
        is_log=True,
        line_labels=_meanings(used),
    )


def _meanings(used: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """Returns the meaning of each line style that is used, those after training first."""
    ordered = sorted(used, key=lambda each: (each[1] != "end", each[0]))
    return {used[state, time]: f"{STATES.get(state, state)}, {TIMES[time]}" for state, time in ordered}
