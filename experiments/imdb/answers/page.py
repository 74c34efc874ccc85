"""An explanation as one HTML file: a curve over the words, the text in colours, and the gates of the chosen word."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.html import fill, read, render
from experiments.imdb.answers.explanation import Explanation
from experiments.imdb.answers.log_odds import likeliest
from experiments.imdb.answers.predict import answer_text
from recurrent.training.atomic import write_text

__all__ = ["as_plain", "make_page", "write_page"]

_HERE = Path(__file__).parent
_DECIMALS = 3  # of gates and states, which are only displayed


def write_page(explanation: Explanation, run: str, path: Path) -> None:
    """Writes the page, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, make_page(explanation, run))


def make_page(explanation: Explanation, run: str) -> str:
    """Returns the page.

    Args:
        explanation: of one text.
        run: the run's name.
    """
    answer = answer_text(explanation.label, explanation.probability, digits=3, of_class=explanation.of_class)
    total = explanation.start_contribution + sum(word.contribution for word in explanation.words)
    body = fill(
        _HERE / "explain.html",
        it=explanation,
        answer=answer,
        likeliest=likeliest(explanation.probabilities or {}),
        run=run,
        total=f"{total:+.3f}",
        gap=f"{explanation.gap:+.1e}",
        agreement=f"{explanation.agreement:.2f}" if np.isfinite(explanation.agreement) else "not defined here",
    )
    return render(
        f"{explanation.label or answer}: how {run} reads a review",
        body,
        as_plain(explanation),
        scripts=[read("charts.js"), read("words.js"), read("explain.js", _HERE)],
        styles=[read("charts.css"), read("words.css")],
    )


def as_plain(explanation: Explanation) -> dict[str, Any]:
    """Returns the explanation in JSON's types; NaN becomes None."""
    agreement = explanation.agreement if np.isfinite(explanation.agreement) else None
    return {
        **explanation._asdict(),
        "agreement": agreement,
        "words": [word._asdict() for word in explanation.words],
        "gates": _rounded(explanation.gates),
        "states": _rounded(explanation.states),
    }


def _rounded(arrays: dict[str, Any]) -> dict[str, list[list[float]]]:
    return {name: np.round(array.astype(np.float64), _DECIMALS).tolist() for name, array in arrays.items()}
