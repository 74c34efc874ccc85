"""`scripts/speed`: a step of training and of inference, ours beside other libraries', in one interleaved run."""

import dataclasses
import datetime
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.table import Column, Table

from experiments.platform import processor
from experiments.speed.compare import Result, compare
from experiments.speed.contestants import NAMES
from experiments.speed.task import Task

LABELS = {"ours": "recurrent", "pytorch": "PyTorch", "linen": "Flax linen", "keras_jax": "Keras on JAX"}


@dataclasses.dataclass(frozen=True)
class Speed:
    """Compares the speed of training and inference; all contestants must compute the same losses."""

    cells: tuple[Literal["lstm", "gru", "simple_rnn"], ...] = ("lstm", "gru", "simple_rnn")
    """Cells, one comparison each."""
    contestants: tuple[Literal["ours", "pytorch", "linen", "keras_jax"], ...] = NAMES
    """Who takes part; the others' losses are held against the first one's."""
    batch: int = 128
    """Sequences a step."""
    time: int = 500
    """Steps of a sequence."""
    width: int = 32
    """Features of a word, and units of the cell."""
    turns: int = 12
    """Turns of each contestant, three training steps and one inference each."""
    output: Path | None = None
    """Writes the results as JSON."""

    def run(self) -> None:
        """Compares and prints."""
        out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        comparisons = []
        for cell in self.cells:
            task = Task(cell=cell, batch=self.batch, time=self.time, width=self.width)
            with out.status("") as status:
                results = compare(self.contestants, task, self.turns, status.update)
            comparisons.append({"task": dataclasses.asdict(task), "results": [each._asdict() for each in results]})
            out.print(_table(task, results))
        machine = {"processor": processor(), "cores": len(os.sched_getaffinity(0))}
        today = str(datetime.date.today())
        out.print(f"{machine['processor']}, {machine['cores']} cores, {today}; medians of {self.turns} turns")
        if self.output:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            answer = {"date": today, "machine": machine, "comparisons": comparisons}
            self.output.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


def _table(task: Task, results: Sequence[Result]) -> Table:
    """Lays a comparison out; a ratio is the fastest peer's time over the contestant's, so more is faster."""
    title = f"{task.cell} · batch {task.batch} · {task.time} steps · width {task.width}"
    table = Table(Column(no_wrap=True), "training ms", "ratio", "inference ms", "ratio", "first turn s", title=title)
    peers: Any = [result for result in results if result.contestant != "ours"] or results
    fastest_train = min(peer.train_seconds for peer in peers)
    fastest_predict = min(peer.predict_seconds for peer in peers)
    for result in results:
        table.add_row(
            f"{LABELS[result.contestant]} {result.version}",
            f"{result.train_seconds * 1e3:.1f}",
            f"{fastest_train / result.train_seconds:.2f}",
            f"{result.predict_seconds * 1e3:.1f}",
            f"{fastest_predict / result.predict_seconds:.2f}",
            f"{result.first_seconds:.1f}",
        )
    return table


if __name__ == "__main__":
    try:
        tyro.cli(Speed, prog="scripts/speed").run()
    except RuntimeError as error:
        sys.exit(f"scripts/speed: {error}")
