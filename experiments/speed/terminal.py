"""What the terminal shows of a comparison: a table for each task, and a line about the machine."""

from collections.abc import Sequence

from rich.table import Column, Table

from experiments.speed.contestants import CONTESTANTS
from experiments.speed.measurement import Measurement
from experiments.speed.results import Point, Results, fastest_peer
from experiments.speed.task import Task

__all__ = ["footnote", "table", "title"]


def title(task: Task) -> str:
    """Returns a task's sizes as one line."""
    lengths = {"full": "full", "reviews": "as long as reviews"}[task.lengths]
    masked = ", padding masked" if task.padding == "masked" else ""
    return f"{task.cell} · batch {task.batch} · {task.time} steps, {lengths}{masked} · width {task.width}"


def table(point: Point) -> Table:
    """Returns the table of a task. A ratio is the fastest peer's time divided by the contestant's: larger is faster."""
    headings = ("train\nms", "\nratio", "infer\nms", "\nratio", "memory\nMB", "first\nturn s")
    made = Table(Column(no_wrap=True), *headings, title=title(point.task))
    for each in point.results:
        made.add_row(
            f"{CONTESTANTS[each.contestant].label} {each.version}",
            f"{each.train_seconds * 1e3:.1f}",
            _ratio(point.results, each, "train_seconds"),
            f"{each.predict_seconds * 1e3:.1f}",
            _ratio(point.results, each, "predict_seconds"),
            "-" if each.memory_bytes is None else f"{each.memory_bytes / 1e6:.0f}",
            f"{each.first_seconds:.1f}",
        )
    return made


def _ratio(all_of_them: Sequence[Measurement], measurement: Measurement, field: str) -> str:
    fastest = fastest_peer(all_of_them, field)
    ratio = None if fastest is None else fastest / getattr(measurement, field)
    return "-" if ratio is None else f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0f}"


def footnote(results: Results) -> str:
    """Returns a line with the machine, the date and the number of turns."""
    devices = sorted({each.device for point in results.points for each in point.results} - {"cpu"})
    turns = max((each.turns for point in results.points for each in point.results), default=0)
    machine = ", ".join([results.machine["processor"], f"{results.machine['cores']} cores", *devices])
    return f"{machine}, {results.date}; medians of up to {turns} turns"
