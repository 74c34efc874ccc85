"""Figures as files: no date and no random ids, so that the same figure gives the same bytes."""

from pathlib import Path
from typing import Any

__all__ = ["save_figure"]


def save_figure(figure: Any, path: Path) -> None:
    """Writes one of Matplotlib's figures, as the path's ending says: .svg, .png or .pdf."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "recurrent"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)
