"""The parts that a report's charts are made of: a chart itself, and its points, bands and colours."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

__all__ = ["Chart", "band", "colour", "has_seeds", "in_company", "of_each", "points", "run_of", "spans_seeds"]


_PREFERRED = {"lstm": 1, "gru": 2, "simple_rnn": 3}


class Chart(NamedTuple):
    """A picture: the options are those of `charts.js`, which `pictures.py` draws too."""

    kind: Literal["line", "bars"]
    options: dict[str, Any]


def run_of(figures: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns the figures of a run."""
    return figures["runs"][name]


def of_each(figures: Mapping[str, Any], group: str, field: str) -> list[Any]:
    """Returns a figure of every run of a group."""
    return [run_of(figures, name)[field] for name in figures["groups"][group]["runs"]]


def in_company(figures: Mapping[str, Any]) -> list[str]:
    """Names the runs that are not the only ones of their group."""
    return [name for group in figures["groups"].values() if len(group["runs"]) > 1 for name in group["runs"]]


def colour(figures: Mapping[str, Any], group: str) -> str:
    """Returns the colour of a group, one of the page's own that differs in the dark: a cell's, if no other has it."""
    taken: dict[str, int] = {}
    for label, each in figures["groups"].items():
        wanted = _PREFERRED.get(each["cell"])
        free = [number for number in range(1, 9) if number not in taken.values()] or [8]
        others = [number for number in free if number not in _PREFERRED.values()] or free
        taken[label] = wanted if wanted in free else others[0]
    return f"var(--series-{taken[group]})"


def has_seeds(figures: Mapping[str, Any]) -> bool:
    """Says whether a recipe has several seeds."""
    return any(len(group["runs"]) > 1 for group in figures["groups"].values())


def spans_seeds(figures: Mapping[str, Any]) -> dict[str, str]:
    """Says what a band is, as an option of a chart; nothing where no recipe has several seeds."""
    counts = sorted({len(group["runs"]) for group in figures["groups"].values()} - {1})
    return {"bandLabel": f"band: lowest to highest of {' or '.join(map(str, counts))} seeds"} if counts else {}


def points(x: Any, y: Any) -> list[list[float]]:
    """Makes points of two rows of numbers."""
    return [[float(a), float(b)] for a, b in zip(x, y, strict=True)]


def band(x: Any, values: np.ndarray) -> list[list[float]]:
    """Spans the seeds; one alone has no band."""
    if len(values) < 2:
        return []
    return [[float(at), float(low), float(high)] for at, low, high in zip(x, values.min(0), values.max(0), strict=True)]
