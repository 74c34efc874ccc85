"""JSON lines: one object with text and label on each line."""

import json
from collections.abc import Iterator
from pathlib import Path

from experiments.imdb.reviews.own.columns import COLUMNS
from experiments.imdb.reviews.own.lines import read_lines
from experiments.imdb.reviews.own.row import Row, make_row, shown

__all__ = ["read_json_lines"]


def read_json_lines(path: Path) -> Iterator[Row]:
    """Yields the rows of a file of JSON lines, one at a time; empty lines are skipped.

    Raises:
        ValueError: the file is empty, or a line is no object with text and label; says where, and what to do.
    """
    is_empty = True
    for number, line in enumerate(read_lines(path), start=1):
        if line.isspace():
            continue
        is_empty, place = False, f"{path}, line {number}"
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{place}: {shown(line)} is not JSON ({error}). Write one object on each line.") from error
        if not isinstance(content, dict):
            raise ValueError(f"{place}: {shown(line)} is not an object. Write one object on each line.")
        for name in COLUMNS:
            if name not in content:
                there = ", ".join(map(shown, content)) or "nothing"
                raise ValueError(f"{place}: the object has no {name!r}; it has {there}. Call them text and label.")
        yield make_row(content["text"], content["label"], place)
    if is_empty:
        raise ValueError(f"{path} is empty. Write one object with text and label on each line.")
