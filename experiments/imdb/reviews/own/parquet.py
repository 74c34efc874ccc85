"""Parquet files with the columns text and label, read by PyArrow in batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.imdb.reviews.own.columns import COLUMNS, check_columns
from experiments.imdb.reviews.own.row import Row, make_row

__all__ = ["read_parquet"]

_BATCH = 512  # rows that are decoded at a time
_BUFFER_BYTES = 1 << 20


def read_parquet(path: Path) -> Iterator[Row]:
    """Yields the rows of a Parquet file; one batch of them is in memory at a time.

    Raises:
        ValueError: the file is corrupt or empty, lacks a column, or a column has another type; says what to do.
    """
    import pyarrow

    try:
        for number, (text, label) in enumerate(_values(path)):
            yield make_row(text, label, f"{path}, row {number}")
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the operating system, with the path
            raise
        why = " ".join(str(error).split())
        raise ValueError(f"{path} can't be read as Parquet ({why}). Write it again, with texts in UTF-8.") from error


def _values(path: Path) -> Iterator[tuple[Any, Any]]:
    from pyarrow.parquet import ParquetFile

    # Without these two options, PyArrow keeps every row group that it has read until the file is closed.
    options = {"buffer_size": _BUFFER_BYTES, "pre_buffer": False}
    with path.open("rb") as content, ParquetFile(content, **options) as file:
        schema = file.schema_arrow
        check_columns(path, schema.names)
        for name in COLUMNS:
            _check_type(path, name, schema.field(name).type)
        if not file.metadata.num_rows:
            raise ValueError(f"{path} has no rows. Write the texts and labels into it.")
        for batch in file.iter_batches(_BATCH, columns=list(COLUMNS), use_threads=False):
            texts, labels = (batch.column(name).to_pylist() for name in COLUMNS)
            yield from zip(texts, labels, strict=True)


def _check_type(path: Path, name: str, found: Any) -> None:
    from pyarrow import types

    of_values = found.value_type if types.is_dictionary(found) else found
    texts = (types.is_string, types.is_large_string, types.is_string_view)
    labels = (*texts, types.is_integer, types.is_floating, types.is_boolean)
    if not any(fits(of_values) for fits in (texts if name == "text" else labels)):
        wanted = "strings" if name == "text" else "strings or numbers"
        raise ValueError(f"{path}: the column {name!r} has the type {found}. Write it as {wanted}.")
