"""CSV files (RFC 4180, UTF-8) with the columns text and label."""

import csv
from collections.abc import Iterator
from pathlib import Path

from experiments.imdb.reviews.own.columns import COLUMNS, check_columns
from experiments.imdb.reviews.own.lines import read_lines
from experiments.imdb.reviews.own.row import TEXT_MAX_BYTES, Row, make_row

__all__ = ["read_csv"]


def read_csv(path: Path) -> Iterator[Row]:
    """Yields the rows of a CSV file, one at a time.

    Raises:
        ValueError: the file is empty, lacks a column, or a row can't be read; says where, and what to do.
    """
    csv.field_size_limit(max(csv.field_size_limit(), TEXT_MAX_BYTES))  # of the process; the default is 128 KiB
    records = _records(path)
    _, header = next(records, (1, []))
    names = [name.strip() for name in header]
    if not names:
        raise ValueError(f"{path} is empty. Its first line must name the columns text and label.")
    check_columns(path, names, "Name the columns in the first line, separated by commas.")
    text, label = (names.index(name) for name in COLUMNS)
    for line, fields in records:
        place = f"{path}, line {line}"
        if len(fields) != len(names):
            raise ValueError(
                f"{place}: {len(fields)} fields instead of {len(names)}. Put texts that contain commas in quotes."
            )
        yield make_row(fields[text], fields[label], place)


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the line in which a record begins, and its fields; empty lines are skipped."""
    reader = csv.reader(read_lines(path), strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        advice = 'Check the quotes: a quote within quotes is written "".'
        if "field limit" in str(error):
            error = csv.Error(f"a field has more than {TEXT_MAX_BYTES:,} characters")
            advice = "Shorten it, or close the quote before it."
        raise ValueError(f"{path}, line {line}: {error}. {advice}") from error
