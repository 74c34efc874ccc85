"""What the terminal shows of the suite: a table of the points, and lines about the model and the machine."""

from collections.abc import Iterator

from rich.table import Column, Table

from experiments.speed.scaling.model import Rates, residuals
from experiments.speed.scaling.results import Measured, Scaling

__all__ = ["HEADINGS", "describe", "footnotes", "row", "table"]

HEADINGS = ("devices", "in processes", "shards", "batch", "ms a step", "quartiles", "model", "MB received")
"""Of the columns, in the terminal and in the document."""


def table(scaling: Scaling, rates: Rates) -> Table:
    """Returns a row for each point."""
    made = Table(
        *(Column(heading.replace(" ", "\n"), justify="right") for heading in HEADINGS), title="One training step"
    )
    for measured, residual in zip(scaling.points, residuals(scaling, rates), strict=True):
        made.add_row(*row(measured, residual))
    return made


def row(measured: Measured, residual: float) -> tuple[str, ...]:
    """Returns a point's cells: sizes, milliseconds, the model's error, and what a device gets in each collective."""
    times = [each * 1e3 for each in (measured.seconds, measured.low_seconds, measured.high_seconds)]
    exchanged = [each for each in measured.collectives if each["num_devices"] > 1]
    received = f"{len(exchanged)} x {measured.received_bytes / len(exchanged) / 1e6:.2f}" if exchanged else "0"
    return (
        *map(str, measured.point),
        f"{times[0]:.1f}",
        f"{times[1]:.1f}–{times[2]:.1f}",
        f"{round(100 * residual):+d} %".replace("-", "−").replace("+0", "0"),
        received,
    )


def footnotes(scaling: Scaling, rates: Rates) -> Iterator[str]:
    """Yields what the table's words mean, the fitted constants, the caveat and the machine."""
    yield "MB received: by a device, in each collective of a step, counted from the compiled program."
    yield "model: by how much it errs. Its constants: " + ", ".join(map(" ".join, describe(rates))) + "."
    yield scaling.caveat
    turns = max((each.turns for each in scaling.points), default=0)
    backends = ", ".join(sorted({each.backend for each in scaling.points}))
    machine = f"{scaling.machine['processor']}, {scaling.machine['cores']} cores, jax {scaling.jax}, {scaling.date}"
    yield f"{machine}, backend {backends}; medians of {turns} interleaved turns"
    yield "Points of the same batch and shards had equal losses, bit for bit."


def describe(rates: Rates) -> Iterator[tuple[str, str]]:
    """Yields the fitted constants, each with its value in words."""
    yield "a shard", _time(rates.shard)
    yield "an example", _time(rates.example)
    yield "memory of a core", _rate(rates.memory_byte)
    yield "latency between devices of a process", _time(rates.near_latency)
    yield "latency between processes", _time(rates.far_latency)
    yield "bytes between processes", _rate(rates.link_byte)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds else "not seen"


def _rate(seconds: float) -> str:
    return f"{1e-9 / seconds:.1f} GB/s" if seconds else "not seen"
