"""The page on which one writes."""

from pathlib import Path
from string import Template
from typing import Any

from experiments.imdb.serving.app import Limits
from experiments.pages.page import escape, render

__all__ = ["make_page"]

_FOLDER = Path(__file__).parents[1] / "pages"


def make_page(run: str, facts: dict[str, Any], limits: Limits) -> str:
    """Returns the page of a run.

    Args:
        run: its name.
        facts: the model's, as `/health` shows them.
    """
    body = Template(_read("serve.html")).substitute(
        run=escape(run),
        cell=escape(facts["cell"]),
        padding=f"{facts['sequence_length']:,}",
        characters=f"{limits.max_characters:,}",
    )
    scripts, styles = [_read("words.js"), _read("serve.js")], [_read("words.css"), _read("serve.css")]
    return render("What a recurrent network believes while you write", body, scripts=scripts, styles=styles)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
