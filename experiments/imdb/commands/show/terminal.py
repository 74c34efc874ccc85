"""The console, the layout of lines in its width, and the progress bar."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

__all__ = ["console", "in_lines", "progress_bar", "short_name", "without_controls"]

_LONGEST_NAME = 16


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raises the error again, for `command_line` to handle; Rich would end the process with exit code 1."""
        raise BrokenPipeError


def console() -> Console:
    """Returns a console as wide as the terminal; lines are never folded where the output is no terminal."""
    return _Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def in_lines(parts: Sequence[str], width: int, separator: str = "  ", heading: str = "") -> list[str]:
    """Sets parts side by side on as few lines as the width allows; a part is never broken.

    >>> in_lines(["one 1", "two 2", "three 3"], width=18, separator=" · ", heading="data ")
    ['data one 1 · two 2', '     three 3']
    """
    lines, line = [], heading
    for part in parts:
        is_first = line in (heading, " " * len(heading))
        if not is_first and len(line) + len(separator) + len(part) > width:
            lines.append(line)
            line, is_first = " " * len(heading), True
        line += part if is_first else separator + part
    return [*lines, line]


def without_controls(text: str) -> str:
    """Replaces control characters by spaces, since they can move a terminal's cursor or hide text."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def short_name(name: str) -> str:
    """Returns the name of a class as it fits into a table.

    >>> short_name("a very long name of a class")
    'a very long nam…'
    """
    shown = without_controls(name)
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"


@contextmanager
def progress_bar(out: Console, what: str) -> Any:
    """Yields a function (what, done, total): it moves a bar on a terminal, and elsewhere prints a line now and then."""
    if not out.is_terminal:
        yield _plain_progress(out)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True, expand=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _plain_progress(out: Console, every_seconds: float = 10.0) -> Callable[[str, int, int], None]:
    last = time.monotonic()

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= every_seconds:
            last = time.monotonic()
            out.print(f"{what}: {done:,} of {total:,}", markup=False)

    return report
