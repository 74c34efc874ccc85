"""The page of the server, which shows the prediction while you write."""

from pathlib import Path
from typing import Any

from experiments.html import fill, read, render
from experiments.imdb.serving.requests import Limits

__all__ = ["make_page"]

_HERE = Path(__file__).parent


def make_page(run: str, facts: dict[str, Any], limits: Limits) -> str:
    """Returns the page of a run.

    Args:
        run: its name.
        facts: about the model, as `/health` shows them.
        limits: of the server.
    """
    return render(
        "What a recurrent network predicts while you write",
        fill(_HERE / "serve.html", run=run, facts=facts, limits=limits),
        scripts=[read("charts.js"), read("words.js"), read("serve.js", _HERE)],
        styles=[read("charts.css"), read("words.css"), read("serve.css", _HERE)],
    )
