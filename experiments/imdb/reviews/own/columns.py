"""The names of the columns of own data."""

from collections.abc import Sequence
from pathlib import Path

from experiments.imdb.reviews.own.row import shown

__all__ = ["COLUMNS", "check_columns"]

COLUMNS = ("text", "label")


def check_columns(path: Path, names: Sequence[str], advice: str = "") -> None:
    """Raises ValueError for a file that lacks a column or has it twice; says which columns there are."""
    for column in COLUMNS:
        if names.count(column) != 1:
            problem = "has no column" if column not in names else "has several columns"
            listed = ", ".join(shown(name) for name in names[:20]) + (", …" if len(names) > 20 else "")
            raise ValueError(
                f"{path} {problem} {column!r}; it has {listed or 'none'}. The columns must be called text and label. "
                f"{advice}".rstrip()
            )
