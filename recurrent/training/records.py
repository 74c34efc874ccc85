"""What a run writes down: one JSON line an epoch, the deterministic numbers apart from the wall clock's."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Record", "Timing", "append_line", "best", "read_lines", "write_atomically", "write_lines"]


class Record(NamedTuple):
    """A line of `records.jsonl`: bitwise the same whenever the same run is done again."""

    epoch: int  # from 1
    step: int  # optimizer steps done at the epoch's end
    loss: float
    acc: float
    val_loss: float
    val_acc: float


class Timing(NamedTuple):
    """A line of `timings.jsonl`, for the steps that this process did; a resumed epoch counts from where it resumed."""

    epoch: int
    steps: int
    seconds: float  # training alone
    eval_seconds: float


def best(records: Sequence[Record]) -> Record | None:
    """Returns the epoch with the highest validation accuracy, the first of equals; one that is NaN never wins."""
    comparable = [record for record in records if record.val_acc == record.val_acc]
    return max(comparable, key=lambda record: (record.val_acc, -record.epoch), default=None)


def append_line(path: Path, line: Record | Timing) -> None:
    """Appends a line and waits until it is on disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_to_json(line))
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path, kind: type[Any]) -> list[Any]:
    """Reads a file's whole lines; a last line that a kill tore off half-way is passed over.

    Raises:
        ValueError: another line is not what this library writes.
    """
    if not path.exists():
        return []
    *whole, _torn = path.read_text(encoding="utf-8").split("\n")
    return [_from_json(path, number, line, kind) for number, line in enumerate(whole, start=1)]


def write_lines(path: Path, lines: Sequence[Record | Timing]) -> None:
    """Replaces a file's lines, all or nothing."""
    write_atomically(path, "".join(map(_to_json, lines)))


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file so that a reader, or a kill, finds the old one or the new one and nothing between."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _to_json(line: Record | Timing) -> str:
    return json.dumps(line._asdict()) + "\n"


def _from_json(path: Path, number: int, line: str, kind: type[Any]) -> Any:
    try:
        return kind(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}, line {number} is not a {kind.__name__}: {line[:80]!r} ({error}).") from error
