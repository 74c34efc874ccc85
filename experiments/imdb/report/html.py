"""HTML of a report's tables and charts; every text goes through `escape` here, so nobody else has to think of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.html import escape
from experiments.imdb.report.series import Chart

__all__ = ["bytes_text", "chart", "details", "number", "paragraph", "spread_text", "table"]


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Returns a table whose first column names the rows; it scrolls in a box of its own where it is too wide.

    A column without an entry is left out, such as a deviation over seeds where there is one seed.
    """
    kept = [index for index in range(len(head)) if index == 0 or not rows or any(str(row[index]) for row in rows)]
    columns = "".join(f'<th scope="col"{_kind(index)}>{escape(head[index])}</th>' for index in kept)
    lines = [
        f'<tr><th scope="row">{escape(str(row[0]))}</th>'
        + "".join(f"<td>{escape(str(row[index]))}</td>" for index in kept[1:])
        for row in rows
    ]
    name = escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table><caption>{name}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _kind(column: int) -> str:
    return ' class="text"' if column == 0 else ""


def details(summary: str, content: str) -> str:
    """Returns what is shown on demand; `content` is HTML."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def paragraph(text: str) -> str:
    """Returns a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def chart(charts: Mapping[str, Chart], *names: str) -> str:
    """Returns the places of some charts beside each other, each with its figures as a table on demand."""
    places = []
    for name in names:
        figures = details("figures", _figures(charts[name]))
        places.append(f'<div><figure id="chart-{name}"></figure>{figures}</div>')
    return f'<div class="charts">{"".join(places)}</div>'


def _figures(chart: Chart) -> str:
    """Writes a chart's numbers as a table, a column for each series."""
    options = chart.options
    series = options["series"]
    if chart.kind == "bars":
        keys, columns = (
            options["groups"],
            [dict(zip(options["groups"], each["values"], strict=True)) for each in series],
        )
        counts = options.get("counts") or []
        head = [options["xLabel"], *(each["name"] for each in series), *(["reviews"] if counts else [])]
        rows = [
            [key, *(number(column[key]) for column in columns), *([f"{counts[index]:,}"] if counts else [])]
            for index, key in enumerate(keys)
        ]
        return table(options["title"], head, rows)
    columns = [{point[0]: point[1] for point in each["points"]} for each in series]
    keys = sorted({key for column in columns for key in column})
    head = [options["xLabel"], *(each["name"] for each in series)]
    rows = [[number(key), *(number(column.get(key)) for column in columns)] for key in keys]
    return table(options["title"], head, rows)


def number(value: float | None) -> str:
    """Formats a number of any size; nothing where there is none.

    >>> number(0.25), number(3), number(2.5e-9), number(None), number(float("nan"))
    ('0.2500', '3', '2.50e-09', '', '')
    """
    if value is None or value != value:
        return ""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.2e}" if abs(value) < 1e-3 or abs(value) >= 1e6 else f"{value:,.4f}"


def spread_text(spread: Mapping[str, Any] | None) -> str:
    """Formats mean ± standard deviation."""
    if spread is None:
        return ""
    deviation = f" ± {spread['deviation']:.4f}" if spread["deviation"] is not None else ""
    return f"{spread['mean']:.4f}{deviation}"


def bytes_text(count: int | None) -> str:
    """Formats bytes; says so where they are not known.

    >>> bytes_text(12_300_000), bytes_text(None)
    ('12.3 MB', 'not known')
    """
    return "not known" if count is None else f"{count / 1e6:,.1f} MB"
