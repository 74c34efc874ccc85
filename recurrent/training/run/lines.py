"""Files of records and times, one JSON line per epoch: how they are appended to, read, checked and replaced."""

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from recurrent.call.arguments import integer
from recurrent.training.atomic import sync_folder, write_text
from recurrent.training.run.records import Record, Timing

__all__ = ["append_line", "checked", "from_fields", "number", "read_lines", "salvage_lines", "write_lines"]


def append_line(path: Path, line: Record | Timing) -> None:
    """Appends a line and waits until it is on disk. If that fails, the file is as before."""
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
    """Reads a file's complete lines; a last line that a kill cut off is ignored.

    Raises:
        ValueError: another line is not what this library writes.
    """
    lines, problems = salvage_lines(path, kind)
    if problems:
        raise ValueError(f"{path}, {problems[0]}.")
    return lines


def salvage_lines(path: Path, kind: type[Any]) -> tuple[list[Any], list[str]]:
    """Reads the valid lines of a file, and says what is wrong with the others, except a cut-off last one."""
    lines, problems = [], []
    if path.exists() and not path.is_file():
        problems.append("it is not a file")
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
    """Makes a Record or Timing of a line's JSON object.

    Raises:
        ValueError: a field is not a number.
        TypeError: a field is missing or unknown.
    """
    if not isinstance(fields, dict):
        raise TypeError("it is not an object")
    for name, value in fields.items():
        expected = kind.__annotations__.get(name)
        if type(value) is not int and (expected is int or type(value) is not float):
            raise ValueError(f"{name} is {value!r}")
    return Record.of_fields(fields) if kind is Record else kind(**fields)


def checked(line: Any) -> Any:
    """Returns a Record or Timing of Python's own numbers.

    Raises:
        ValueError: a field is not a number, so it could not be read back; names it.
    """
    settled: dict[str, Any] = {}
    for name, value in line._asdict().items():
        kind = type(line).__annotations__[name]
        if kind is int:
            settled[name] = integer(name, value, 0)
        elif kind is float:
            settled[name] = number(name, value)
        else:
            settled[name] = {key: number(f"{name}[{key!r}]", each) for key, each in value.items()}
    return type(line)(**settled)


def number(name: str, value: Any) -> float:
    """Returns a real number of any kind (Python's, NumPy's, a 0-d array, NaN) as Python's float.

    Raises:
        ValueError: it is not a number.
    """
    array = None if value is None or isinstance(value, str | bytes) else np.asarray(value)
    if array is None or array.ndim or not (np.isrealobj(array) and jnp.issubdtype(array.dtype, jnp.number)):
        raise ValueError(f"{name} is {value!r}, which is not a number.")
    return float(array)


def _to_json(line: Record | Timing) -> str:
    return json.dumps(line.fields() if isinstance(line, Record) else line._asdict()) + "\n"
