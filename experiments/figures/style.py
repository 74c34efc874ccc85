"""What all figures share: their width, sizes of text, axes without what does not inform, and keys beside the data.

Nothing is written among the data: what a line, a band or a marker means stands in a key below, where it covers nothing.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from experiments.figures.palette import BACKGROUND, GRID, MUTED, TEXT

__all__ = ["SETTINGS", "house_style", "key_below", "new_figure"]

_WIDTH = 5.6
"""Inches. A telephone shows a picture some 358 CSS pixels wide, where 9 points are then 8 pixels."""
_NORMAL = 9  # points, and the least
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
    "svg.hashsalt": "recurrent",  # no random ids, so that the same figure gives the same bytes
}
"""Matplotlib's settings."""


def house_style() -> AbstractContextManager[None]:
    """Returns a context in which figures are drawn in this style."""
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
    """Puts a key under the axes of a figure, or of a part of one.

    Args:
        entries: handles and what they mean.
    """
    if entries:
        handles, labels = zip(*entries, strict=True)
        figure.legend(handles, labels, loc="outside lower left", ncols=columns, columnspacing=1.4, handlelength=2.4)
