"""The tables of docs/scaling.md, made of what was measured and of the model; a test compares them with the page.

python -m experiments.speed.scaling.document docs/speed/scaling.json
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.speed.scaling.model import Rates, fit, residuals
from experiments.speed.scaling.plan import CLUSTERS, WAYS, step_parts, sum_parts
from experiments.speed.scaling.results import Scaling, read
from experiments.speed.scaling.terminal import HEADINGS, describe, row

__all__ = ["constants", "measured_table", "planned_table"]

COUNTS = (8, 16, 64, 512)
_HOW = {"gather": "all shards gathered", "slices": "slices, as it is", "tree": "tree"}


def measured_table(scaling: Scaling, rates: Rates) -> Iterator[str]:
    """Yields the lines of the table of points."""
    found = zip(scaling.points, residuals(scaling, rates), strict=True)
    yield from _table(HEADINGS, [row(measured, residual) for measured, residual in found])


def constants(rates: Rates) -> Iterator[str]:
    """Yields the lines of the table of fitted constants."""
    yield from _table(("constant", "fitted"), list(describe(rates)))


def planned_table() -> Iterator[str]:
    """Yields the lines of the table of sums over many GPUs: bytes that a GPU's memory moves, and the step's seconds."""
    headings = ("GPUs", "sum", "memory moved, MB", *(f"ms a step, {cluster.name}" for cluster in CLUSTERS))
    rows = []
    for count in COUNTS:
        for way in WAYS:
            moved = sum_parts(CLUSTERS[0], count, way)[0] / 1e6
            seconds = [sum(step_parts(cluster, count, way)) for cluster in CLUSTERS]
            rows.append((str(count), _HOW[way], f"{moved:,.0f}", *(f"{each * 1e3:.2f}" for each in seconds)))
    yield from _table(headings, rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|---" * len(headings) + "|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    found = read(Path(sys.argv[1]))
    print("\n".join([*measured_table(found, fit(found)), "", *constants(fit(found)), "", *planned_table()]))
