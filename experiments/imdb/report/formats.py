"""Numbers of a report as text, and tables of such texts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Table", "bytes_text", "interval_text", "make_table", "number", "spread_text"]


def number(value: float | None) -> str:
    """Formats a number of any size; an empty string for None and NaN.

    >>> number(0.25), number(3), number(2.5e-9), number(None), number(float("nan"))
    ('0.2500', '3', '2.50e-09', '', '')
    """
    if value is None or value != value:
        return ""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.2e}" if abs(value) < 1e-3 or abs(value) >= 1e6 else f"{value:,.4f}"


def spread_text(spread: Mapping[str, Any] | None) -> str:
    """Formats mean ± standard deviation, and the number of seeds left out of both because their accuracy is NaN.

    >>> spread_text({"mean": 0.875, "deviation": 0.01, "num_left_out": 1})
    '0.8750 ± 0.0100 (1 seed left out: nan)'
    """
    if spread is None:
        return ""
    if math.isnan(spread["mean"]):
        return "nan"
    deviation = f" ± {spread['deviation']:.4f}" if spread["deviation"] is not None else ""
    count = spread["num_left_out"]
    left_out = f" ({count} seed{'s' * (count > 1)} left out: nan)" if count else ""
    return f"{spread['mean']:.4f}{deviation}{left_out}"


def interval_text(spread: Mapping[str, Any] | None) -> str:
    """Formats a 95 % interval."""
    if spread is None or math.isnan(spread["mean"]):
        return ""
    kind = "" if spread["kind"] == "t" else " (Wilson)"
    return f"{spread['low']:.4f} to {spread['high']:.4f}{kind}"


def bytes_text(count: int | None) -> str:
    """Formats a number of bytes; None is a platform that does not report it.

    >>> bytes_text(12_300_000), bytes_text(None)
    ('12.3 MB', 'not known')
    """
    return "not known" if count is None else f"{count / 1e6:,.1f} MB"


class Table(NamedTuple):
    """A table whose first column names the rows."""

    caption: str
    head: list[str]
    rows: list[list[str]]


def make_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Makes a table without its empty columns, such as a deviation over seeds where there is one seed."""
    kept = [index for index in range(len(head)) if index == 0 or not rows or any(str(row[index]) for row in rows)]
    return Table(caption, [head[index] for index in kept], [[str(row[index]) for index in kept] for row in rows])
