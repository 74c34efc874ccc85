"""What was found as tables, in Markdown: steps until solved, and how fast gradients fall."""

from collections.abc import Sequence
from statistics import mean

from experiments.memory.contestants import CONTESTANTS
from experiments.memory.results import Flow, Outcome, Point

__all__ = ["cells", "flows", "footnote", "lengths", "solved", "solved_text"]


def cells(outcome: Outcome) -> list[str]:
    """Lists the cells of an outcome, in the order of the catalogue."""
    return [name for name in CONTESTANTS if any(point.cell == name for point in outcome.points)]


def lengths(outcome: Outcome) -> list[int]:
    """Lists the lengths of an outcome, the least first."""
    return sorted({point.length for point in outcome.points})


def solved(outcome: Outcome) -> list[str]:
    """Formats the steps until the task was solved, mean over seeds; in brackets the last loss where it was not."""
    rows = []
    for cell in cells(outcome):
        points = [outcome.find(cell, length) for length in lengths(outcome)]
        rows.append([CONTESTANTS[cell].label, *("-" if point is None else solved_text(point) for point in points)])
    return _table(["steps until solved", *(f"{length:,}" for length in lengths(outcome))], rows)


def solved_text(point: Point) -> str:
    """Says when a point was solved: on average, or by how many seeds, or where its loss stays."""
    steps = [run.solved_at for run in point.runs if run.solved_at is not None]
    if point.is_solved:
        return f"{mean(steps):,.0f}"
    if steps:
        return f"{len(steps)} of {len(point.runs)} seeds"
    return f"({mean(run.losses[-1] for run in point.runs):.3f})"


def flows(outcome: Outcome) -> list[str]:
    """Formats how gradients fall at the greatest length: decades a step, and the steps until half of them is left."""
    length = lengths(outcome)[-1]
    rows = []
    for cell in cells(outcome):
        point = outcome.find(cell, length)
        if point is not None:
            rows += [
                [CONTESTANTS[cell].label, array, *_decay(before), *_decay(point.after[array])]
                for array, before in point.before.items()
            ]
    heads = (f"gradients at {length:,} steps", "state", "before: slope", "half-life", "after: slope", "half-life")
    return _table(heads, rows)


def footnote(outcome: Outcome) -> str:
    """Says how and on what it was measured."""
    settings, environment = outcome.settings, outcome.environment
    dates = sorted({point.date for point in outcome.points})
    return (
        f"width {settings['width']}, batch {settings['batch']}, {settings['seeds']} seeds, up to "
        f"{settings['steps']:,} steps · {environment['processor']}, {environment['cores']} cores, "
        f"{environment['device']} · {' to '.join(dict.fromkeys([dates[0], dates[-1]]))} · "
        f"{outcome.seconds:,.0f} s by the clock, {outcome.cpu_seconds:,.0f} s of processor time"
    )


def _decay(flow: Flow) -> tuple[str, str]:
    slope = "-" if flow.slope is None else f"{flow.slope:.4f}"
    return slope, "none" if flow.half_life is None else f"{flow.half_life:,.1f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    lines = [[*heads], ["-" * width for width in widths], *rows]
    return [
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) + " |" for row in lines
    ]
