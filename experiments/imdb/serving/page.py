"""The page of the server, which shows the prediction while you write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.html import fill, read, render
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.serving.requests import Limits

__all__ = ["make_page"]

_HERE = Path(__file__).parent


def make_page(run: str, facts: dict[str, Any], limits: Limits, classes: Sequence[str] = IMDB_CLASSES) -> str:
    """Returns the page of a run.

    Args:
        run: its name.
        facts: about the model, as `/health` shows them.
        limits: of the server.
        classes: of the run. Of two classes the second one's probability is shown, of more that of a chosen one.
    """
    positive = classes[1] if len(classes) == 2 else "the predicted class"
    return render(
        "What a recurrent network predicts while you write",
        fill(_HERE / "serve.html", run=run, facts=facts, limits=limits, classes=classes, positive=positive),
        scripts=[read("charts.js"), read("words.js"), read("serve.js", _HERE)],
        styles=[read("charts.css"), read("words.css"), read("serve.css", _HERE)],
    )
