"""Entries of a figure's key, which explain lines, bands and marks."""

from typing import Any

from experiments.figures.palette import MUTED, REFERENCE

__all__ = ["band_key", "line_key", "mark_key", "reference_line"]


def line_key(text: str, **style: Any) -> tuple[Any, str]:
    """Returns a line and its meaning.

    Args:
        style: arguments of Matplotlib's `Line2D`; muted, if no colour is given.
    """
    from matplotlib.lines import Line2D

    look: dict[str, Any] = {"color": MUTED.light, **style}
    return Line2D([], [], **look), text


def mark_key(text: str, size: float = 9) -> tuple[Any, str]:
    """Returns a large mark and its meaning."""
    return line_key(f"large mark: {text}", marker="o", markersize=size, linestyle="")


def band_key(text: str) -> tuple[Any, str]:
    """Returns a band and its meaning."""
    from matplotlib.patches import Patch

    return Patch(color=MUTED.light, alpha=0.25, linewidth=0), f"band: {text}"


def reference_line(line: str = "--") -> dict[str, Any]:
    """Returns the style of a line that data are compared with."""
    return {"color": REFERENCE.light, "linewidth": 1.2, "linestyle": line, "zorder": 1}
