"""What a report's pictures show, as descriptions that `charts.js` draws on the page and `pictures.py` in files.

Several seeds of a recipe are drawn as their mean with a band from the least to the greatest; each of them alone is
there too, and hidden at first.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from experiments.imdb.report import answers, curves
from experiments.imdb.report.measure import LENGTHS, UNKNOWN
from experiments.imdb.report.series import Chart

__all__ = ["bin_names", "make_charts"]


def make_charts(figures: Mapping[str, Any]) -> dict[str, Chart]:
    """Describes all pictures of a report, by the id of their place on the page."""
    lengths, shares = bin_names(LENGTHS), bin_names([100 * edge for edge in UNKNOWN])
    return {
        "accuracy": curves.accuracy(figures),
        "loss": curves.loss(figures),
        "roc": answers.roc(figures),
        "reliability": answers.reliability(figures),
        "probabilities": answers.probabilities(figures),
        "by_length": answers.by_bin(figures, "by_length", "Accuracy by length", "words", lengths),
        "by_unknown": answers.by_bin(
            figures, "by_unknown", "Accuracy by share of unknown words", "unknown words in %", shares
        ),
        "gradient_flow": curves.gradient_flow(figures),
    }


def bin_names(edges: Sequence[float]) -> list[str]:
    """Names bins by their edges, the upper one excluded.

    >>> bin_names((100, 200))
    ['<100', '100–200', '≥200']
    """
    whole = [f"{edge:.0f}" for edge in edges]
    between = [f"{low}–{high}" for low, high in pairwise(whole)]
    return [f"<{whole[0]}", *between, f"≥{whole[-1]}"]
