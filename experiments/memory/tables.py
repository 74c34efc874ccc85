"""Results as Markdown tables: steps until solved, and how fast gradients vanish."""

from statistics import mean

from experiments.markdown import markdown_table
from experiments.memory.contestants import CONTESTANTS
from experiments.memory.results import Flow, Point, Results

__all__ = ["cells", "flows", "footnote", "lengths", "solved", "solved_text"]


def cells(results: Results) -> list[str]:
    """Lists the cells of the results, in the order of the catalogue."""
    return [name for name in CONTESTANTS if any(point.cell == name for point in results.points)]


def lengths(results: Results) -> list[int]:
    """Lists the lengths of the results in ascending order."""
    return sorted({point.length for point in results.points})


def solved(results: Results) -> list[str]:
    """Returns a table of the steps until the task was solved, mean over seeds, or in brackets the last loss."""
    rows = []
    for cell in cells(results):
        points = [results.find(cell, length) for length in lengths(results)]
        rows.append([CONTESTANTS[cell].label, *("-" if point is None else solved_text(point) for point in points)])
    return markdown_table(["steps until solved", *(f"{length:,}" for length in lengths(results))], rows)


def solved_text(point: Point) -> str:
    """Returns the mean steps until a point was solved, or how many seeds solved it, or its last loss in brackets."""
    steps = [run.solved_at for run in point.runs if run.solved_at is not None]
    if point.is_solved:
        return f"{mean(steps):,.0f}"
    if steps:
        return f"{len(steps)} of {len(point.runs)} seeds"
    return f"({mean(run.losses[-1] for run in point.runs):.3f})"


def flows(results: Results) -> list[str]:
    """Returns a table of the gradients at the greatest length: slope in decades per step, and half-life in steps."""
    length = lengths(results)[-1]
    rows = []
    for cell in cells(results):
        point = results.find(cell, length)
        if point is not None:
            rows += [
                [CONTESTANTS[cell].label, array, *_decay(before), *_decay(point.after[array])]
                for array, before in point.before.items()
            ]
    heads = (f"gradients at {length:,} steps", "state", "before: slope", "half-life", "after: slope", "half-life")
    return markdown_table(heads, rows)


def footnote(results: Results) -> str:
    """Returns a line with the settings, the machine and the time of the measurement."""
    settings, environment = results.settings, results.environment
    dates = sorted({point.date for point in results.points})
    return (
        f"width {settings['width']}, batch {settings['batch']}, {settings['seeds']} seeds, up to "
        f"{settings['steps']:,} steps · {environment['processor']}, {environment['cores']} cores, "
        f"{environment['device']} · {' to '.join(dict.fromkeys([dates[0], dates[-1]]))} · "
        f"{results.seconds:,.0f} s by the clock, {results.cpu_seconds:,.0f} s of processor time"
    )


def _decay(flow: Flow) -> tuple[str, str]:
    slope = "-" if flow.slope is None else f"{flow.slope:.4f}"
    return slope, "none" if flow.half_life is None else f"{flow.half_life:,.1f}"
