"""What a picture shows, as values: charts made of series. `draw.py` draws them, `tables.py` lists their figures."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.figures import CELLS, LOOKS, Look

__all__ = [
    "Chart",
    "Picture",
    "Reference",
    "Series",
    "looks",
    "looks_of",
    "of_each",
    "points",
    "seeds_in_words",
    "spans",
]

Point = tuple[float, float | None]
Span = tuple[float, float, float]  # x, low, high


class Series(NamedTuple):
    """One line or row of dots."""

    name: str
    look: Look
    points: Sequence[Point]  # a y of None leaves a gap
    line: Literal["-", "--", ":", "-.", ""] = "-"
    band: Sequence[Span] = ()
    whiskers: Sequence[Span] = ()
    marks: Sequence[Point] = ()  # large marks
    key: str | None = ""  # its text in the key: "" for the name, None for no entry


class Reference(NamedTuple):
    """A horizontal line that the series are compared with."""

    y: float
    label: str


class Chart(NamedTuple):
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_names: Sequence[str] = ()  # of x = 0, 1, 2, ..., where x counts bins
    counts: Sequence[int] = ()  # examples in each bin, where they are the same for all series
    x_range: tuple[float, float] | None = None
    y_range: tuple[float | None, float | None] = (None, None)
    is_log: bool = False
    is_log_x: bool = False
    references: Sequence[Reference] = ()
    diagonal: str = ""  # the meaning of a line from corner to corner
    band_label: str = ""
    mark_label: str = ""
    whisker_label: str = ""
    line_labels: Mapping[str, str] = {}  # line style -> its meaning in all series


class Picture(NamedTuple):
    """Charts above each other, with one key."""

    name: str  # of its files, and of its place on the page
    title: str
    charts: Sequence[Chart]


def looks(groups: Mapping[str, str]) -> dict[str, Look]:
    """Gives each recipe a look of its own: its cell's if no other recipe has it, else the first that is free.

    Args:
        groups: recipe -> cell.
    """
    spare = [*LOOKS, *(look._replace(is_hollow=True) for look in LOOKS)]
    taken: dict[str, Look] = {}
    for label, cell in groups.items():
        others = [look for look in spare if look not in CELLS.values()] + spare
        free = [look for look in (CELLS[cell], *others) if look not in taken.values()]
        taken[label] = (free or spare)[0]
    return taken


def looks_of(figures: Mapping[str, Any]) -> dict[str, Look]:
    """Returns the look of each recipe of a report."""
    return looks({label: group["cell"] for label, group in figures["groups"].items()})


def of_each(figures: Mapping[str, Any], group: str, field: str) -> list[Any]:
    """Returns a figure of every run of a recipe."""
    return [figures["runs"][name][field] for name in figures["groups"][group]["runs"]]


def seeds_in_words(counts: Sequence[int]) -> str:
    """Says what a band over seeds spans; nothing where no recipe has several seeds.

    >>> seeds_in_words([1, 3, 5]), seeds_in_words([1])
    ('lowest to highest of 3 or 5 seeds', '')
    """
    several = sorted(set(counts) - {1})
    return f"lowest to highest of {' or '.join(map(str, several))} seeds" if several else ""


def points(x: Any, y: Any) -> list[Point]:
    """Makes points of two rows of numbers; NaN becomes None."""
    return [(float(a), None if b is None or b != b else float(b)) for a, b in zip(x, y, strict=True)]


def spans(x: Any, low: Any, high: Any) -> list[Span]:
    """Makes spans of three rows of numbers, without those that are not finite."""
    rows = np.array([x, low, high], np.float64).T
    return [(at, least, most) for at, least, most in rows[np.isfinite(rows).all(axis=1)].tolist()]
