"""An explanation as one HTML file: a curve over the words, the text in colours, and the gates of the chosen word."""

from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from experiments.html import escape, read, render
from experiments.imdb.answers.explanation import Explanation
from recurrent.training.atomic import write_text

__all__ = ["make_page", "as_plain", "write_page"]

_HERE = Path(__file__).parent
_DECIMALS = 3  # of gates and states, which are only looked at


def write_page(explanation: Explanation, run: str, path: Path) -> None:
    """Writes the page, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, make_page(explanation, run))


def make_page(explanation: Explanation, run: str) -> str:
    """Returns the page.

    Args:
        run: the run's name.
    """
    label = explanation.label or "nothing to read"
    total = explanation.start_contribution + sum(word.contribution for word in explanation.words)
    remarks = ""
    if explanation.num_cut:
        remarks = f"<p>The model reads the last words alone: the first {explanation.num_cut:,} are left out.</p>"
    body = Template(read("explain.html", _HERE)).substitute(
        answer=f"{label} (P(positive) {explanation.probability:.3f})" if explanation.label else label,
        run=escape(run),
        cell=escape(explanation.cell),
        count=f"{len(explanation.words):,}",
        start=f"{explanation.start_probability:.3f}",
        nothing=f"{explanation.nothing_probability:.3f}",
        remarks=remarks,
        total=f"{total:+.3f}",
        gap=f"{explanation.gap:+.1e}",
        agreement=f"{explanation.agreement:.2f}" if np.isfinite(explanation.agreement) else "not defined here",
    )
    return render(
        f"{label}: how {run} read a review",
        body,
        as_plain(explanation),
        scripts=[read("words.js"), read("explain.js", _HERE)],
        styles=[read("words.css")],
    )


def as_plain(explanation: Explanation) -> dict[str, Any]:
    """Returns the explanation in JSON's own types; NaN becomes None."""
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
