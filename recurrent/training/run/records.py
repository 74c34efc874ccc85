"""What a run writes down: one JSON line an epoch, the deterministic numbers apart from the wall clock's."""

import errno
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from recurrent.training.arguments import integer
from recurrent.training.atomic import sync_folder, write_text

__all__ = [
    "Record",
    "Timing",
    "append_line",
    "best",
    "checked",
    "from_fields",
    "number",
    "read_lines",
    "salvage_lines",
    "write_lines",
]


class Record(NamedTuple):
    """A line of `records.jsonl`: bitwise the same whenever the same run is done again."""

    epoch: int  # from 1
    step: int  # optimizer steps done at the epoch's end
    loss: float
    acc: float
    val_loss: float
    val_acc: float
    skipped: int = 0  # steps so far whose loss or gradient was not finite, and which were not taken


class Timing(NamedTuple):
    """A line of `timings.jsonl`, for the steps that this process did; a resumed epoch counts from where it resumed."""

    epoch: int
    steps: int
    seconds: float  # training alone
    eval_seconds: float
    save_seconds: float = 0.0  # checkpoints since the epoch before was recorded: its best one, those of this epoch


def best(records: Sequence[Record]) -> Record | None:
    """Returns the epoch with the highest validation accuracy, the first of equals; one that is NaN never wins."""
    comparable = [record for record in records if record.val_acc == record.val_acc]
    return max(comparable, key=lambda record: (record.val_acc, -record.epoch), default=None)


def append_line(path: Path, line: Record | Timing) -> None:
    """Appends a line and waits until it is on disk; where that fails, nothing of it stays."""
    content = _to_json(line).encode("ascii")
    with path.open("ab", buffering=0) as file:
        end = os.fstat(file.fileno()).st_size
        try:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
            if not end:
                sync_folder(path.parent)
        except OSError as error:
            os.ftruncate(file.fileno(), end)
            raise OSError(f"{path} could not be written: {error}.") from error


def read_lines(path: Path, kind: type[Any]) -> list[Any]:
    """Reads a file's whole lines; a last line that a kill tore off half-way is passed over.

    Raises:
        ValueError: another line is not what this library writes.
    """
    lines, problems = salvage_lines(path, kind)
    if problems:
        raise ValueError(f"{path}, {problems[0]}.")
    return lines


def salvage_lines(path: Path, kind: type[Any]) -> tuple[list[Any], list[str]]:
    """Reads what can be read of a file, and says what is wrong with its other lines, a torn last one aside."""
    lines, problems = [], []
    if path.exists() and not path.is_file():
        problems.append("it is no file")
    elif path.exists():
        *whole, _torn = path.read_text(encoding="utf-8", errors="replace").split("\n")
        for number, line in enumerate(whole, start=1):
            try:
                lines.append(from_fields(json.loads(line), kind))
            except (ValueError, TypeError, RecursionError) as error:
                problems.append(f"line {number} is not a {kind.__name__}: {line[:80]!r} ({error})")
    return lines, problems


def write_lines(path: Path, lines: Sequence[Record | Timing]) -> None:
    """Replaces a file's lines, all or nothing."""
    write_text(path, "".join(map(_to_json, lines)))


def from_fields(fields: Any, kind: type[Any]) -> Any:
    """Makes a Record or Timing of what stood in a file.

    Raises:
        ValueError: a field is no number.
        TypeError: a field is missing, or one too many.
    """
    if not isinstance(fields, dict):
        raise TypeError("it is no object")
    for name, value in fields.items():
        expected = kind.__annotations__.get(name)
        if type(value) is not int and (expected is int or type(value) is not float):
            raise ValueError(f"{name} is {value!r}")
    return kind(**fields)


def checked(line: Any) -> Any:
    """Returns a Record or Timing of Python's own numbers.

    Raises:
        ValueError: a field is no number, which could not be read back; names it.
    """
    kinds = type(line).__annotations__
    settle = {name: partial(integer, at_least=0) if kind is int else number for name, kind in kinds.items()}
    return type(line)(**{name: settle[name](name, value) for name, value in line._asdict().items()})


def number(name: str, value: Any) -> float:
    """Returns a real number of any kind (Python's, NumPy's, a 0-d array) as Python's float; NaN is one too.

    Raises:
        ValueError: it is none.
    """
    array = None if value is None or isinstance(value, str | bytes) else np.asarray(value)
    if array is None or array.ndim or not (np.isrealobj(array) and jnp.issubdtype(array.dtype, jnp.number)):
        raise ValueError(f"{name} is {value!r}, which is no number.")
    return float(array)


def _to_json(line: Record | Timing) -> str:
    return json.dumps(line._asdict()) + "\n"
