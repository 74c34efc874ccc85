"""The page on which one writes."""

from pathlib import Path
from string import Template
from typing import Any

from experiments.html import escape, read, render
from experiments.imdb.serving.requests import Limits

__all__ = ["make_page"]

_HERE = Path(__file__).parent

_STARTS = {
    "keras": "begins as if {:,} words of padding stood before the review",
    "masked": "begins with the review's first word",
}


def make_page(run: str, facts: dict[str, Any], limits: Limits) -> str:
    """Returns the page of a run.

    Args:
        run: its name.
        facts: the model's, as `/health` shows them.
    """
    body = Template(read("serve.html", _HERE)).substitute(
        run=escape(run),
        cell=escape(facts["cell"]),
        start=_STARTS[facts["padding"]].format(facts["sequence_length"]),
        length=f"{facts['sequence_length']:,}",
        characters=f"{limits.max_characters:,}",
    )
    scripts, styles = [read("words.js"), read("serve.js", _HERE)], [read("words.css"), read("serve.css", _HERE)]
    return render("What a recurrent network believes while you write", body, scripts=scripts, styles=styles)
