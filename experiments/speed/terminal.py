"""What the terminal shows of a comparison: a table for each task, and lines about settings and the machine."""

from collections.abc import Iterator, Sequence

from rich.table import Column, Table

from experiments.speed.contestants import BACKENDS, CONTESTANTS
from experiments.speed.measurement import Measurement
from experiments.speed.results import Point, Results, fastest_peer
from experiments.speed.task import Task

__all__ = ["footnotes", "remarks", "table", "title"]

SLOWER = 1.1
"""A ratio of times that noise does not explain."""


def title(task: Task) -> str:
    """Returns a task's sizes as one line."""
    lengths = {"full": "full", "reviews": "as long as reviews"}[task.lengths]
    masked = ", padding masked" if task.padding == "masked" else ""
    start = " · JAX as it comes" if task.start == "default" else ""
    return f"{task.cell} · batch {task.batch} · {task.time} steps, {lengths}{masked} · width {task.width}{start}"


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


def remarks(point: Point) -> Iterator[str]:
    """Yields who is left out and why, and where `backend="auto"` has not taken the fastest backend."""
    for name, reason in point.left_out.items():
        yield f"{CONTESTANTS[name].label} left out: {reason}"
    found = {each.contestant: each for each in point.results}
    if "ours" not in found:
        return
    for field, what in (("train_seconds", "training"), ("predict_seconds", "inference")):
        seconds = {name: getattr(found[name], field) for name in BACKENDS if name in found}
        if not seconds:
            continue
        best = min(seconds, key=lambda name: seconds[name])
        ratio = getattr(found["ours"], field) / seconds[best]
        if ratio > SLOWER:
            yield f"In {what}, backend='auto' takes {ratio:.2f} times as long as backend={best!r}."


def _ratio(all_of_them: Sequence[Measurement], measurement: Measurement, field: str) -> str:
    fastest = fastest_peer(all_of_them, field)
    ratio = None if fastest is None else fastest / getattr(measurement, field)
    return "-" if ratio is None else f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0f}"


def footnotes(results: Results) -> Iterator[str]:
    """Yields a line for each library's settings, and one with the machine, the date and the number of turns."""
    settings = {each.contestant: each.settings for point in results.points for each in point.results if each.settings}
    for name, words in settings.items():
        yield f"{CONTESTANTS[name].label}: {words}"
    devices = sorted({each.device for point in results.points for each in point.results} - {"cpu"})
    turns = max((each.turns for point in results.points for each in point.results), default=0)
    machine = ", ".join([results.machine["processor"], f"{results.machine['cores']} cores", *devices])
    yield f"{machine}, {results.date}; medians of up to {turns} turns"
