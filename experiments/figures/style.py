"""The settings that all figures share: width, sizes of text, plain axes, and a key below the data.

No text stands among the data. A key below the axes explains lines, bands and marks.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from experiments.figures.palette import BACKGROUND, GRID, MUTED, TEXT

__all__ = ["SETTINGS", "house_style", "key_below", "label_plainly", "label_powers", "new_figure"]

_WIDTH = 5.6
"""Inches. A phone shows a picture about 358 CSS pixels wide; 9 points are then 8 pixels high."""
_NORMAL = 9  # points; no text is smaller
_TITLE = 11

SETTINGS = {
    "figure.facecolor": BACKGROUND.light,
    "figure.titlesize": _TITLE,
    "font.size": _NORMAL,
    "text.color": TEXT.light,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED.light,
    "axes.labelcolor": TEXT.light,
    "axes.titlelocation": "left",
    "axes.titlesize": _NORMAL + 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID.light,
    "xtick.color": MUTED.light,
    "ytick.color": MUTED.light,
    "xtick.labelcolor": TEXT.light,
    "ytick.labelcolor": TEXT.light,
    "legend.frameon": False,
    "legend.fontsize": _NORMAL,
    "legend.title_fontsize": _NORMAL,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "svg.hashsalt": "recurrent",  # no random ids: the same figure gives the same bytes
}
"""Matplotlib's settings."""


def house_style() -> AbstractContextManager[None]:
    """Returns a context with Matplotlib's settings for this style."""
    from matplotlib import rc_context

    return rc_context(SETTINGS)


def new_figure(height: float) -> Any:
    """Returns an empty figure of the common width.

    Args:
        height: in inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH, height), layout="constrained")


def key_below(figure: Any, entries: Sequence[tuple[Any, str]], columns: int) -> None:
    """Adds a key below the axes of a figure or subfigure.

    Args:
        entries: handles, each with its meaning.
    """
    if entries:
        handles, labels = zip(*entries, strict=True)
        figure.legend(handles, labels, loc="outside lower left", ncols=columns, columnspacing=1.4, handlelength=2.4)


def label_plainly(axis: Any) -> None:
    """Writes the numbers of a logarithmic axis as 1, 2, 5, 10, ..., without exponents."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(NullFormatter())


def label_powers(axis: Any) -> None:
    """Labels about six powers of ten of a logarithmic axis as 1e-20: superscripts would be too small on a phone."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = map(math.log10, axis.get_view_interval())
    stride = next((each for each in (1, 2, 5, 10, 20, 50, 100) if (high - low) / each < 7), 200)
    axis.set_major_locator(LogLocator(base=10.0**stride))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"1e{math.log10(value):.0f}"))
    axis.set_minor_locator(NullLocator())
