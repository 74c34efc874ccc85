"""Tables in Markdown, which are also readable in a terminal."""

from collections.abc import Sequence

__all__ = ["markdown_table"]


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    r"""Returns the lines of a table, with its columns aligned.

    >>> print(*markdown_table(["cell", "steps"], [["LSTM", "1,375"], ["GRU", "750"]]), sep="\n")
    | cell | steps |
    | ---- | ----- |
    | LSTM | 1,375 |
    | GRU  | 750   |
    """
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    lines = [[*heads], ["-" * width for width in widths], *rows]
    return [
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) + " |" for row in lines
    ]
