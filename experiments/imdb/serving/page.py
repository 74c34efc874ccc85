"""The page of the server, which shows the prediction while you write."""

from pathlib import Path
from typing import Any

from experiments.html import fill, read, render
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.serving.requests import Limits

__all__ = ["make_page"]

_HERE = Path(__file__).parent


def make_page(run: str, facts: dict[str, Any], limits: Limits, positive: str = IMDB_CLASSES[1]) -> str:
    """Returns the page of a run.

    Args:
        run: its name.
        facts: about the model, as `/health` shows them.
        limits: of the server.
        positive: the name of the class whose probability is shown.
    """
    return render(
        "What a recurrent network predicts while you write",
        fill(_HERE / "serve.html", run=run, facts=facts, limits=limits, positive=positive),
        scripts=[read("charts.js"), read("words.js"), read("serve.js", _HERE)],
        styles=[read("charts.css"), read("words.css"), read("serve.css", _HERE)],
    )
