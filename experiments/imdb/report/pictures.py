"""The pictures of a report, each drawn from the report's figures."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from experiments.imdb.report.accuracy_by_bin import accuracy_by_bin
from experiments.imdb.report.chart import Picture
from experiments.imdb.report.cost import accuracy_by_params, accuracy_by_time
from experiments.imdb.report.curves import learning_curves, summarise
from experiments.imdb.report.gradients import gradient_chart
from experiments.imdb.report.ranking import probability_chart, reliability_chart, roc_chart
from experiments.imdb.report.statistics import LENGTHS, UNKNOWN
from experiments.imdb.report.tables import is_binary

__all__ = ["bin_names", "make_pictures"]


def make_pictures(figures: Mapping[str, Any]) -> list[Picture]:
    """Describes all pictures of a report, in the order of the page."""
    lengths, shares = bin_names(LENGTHS), bin_names([100 * edge for edge in UNKNOWN])
    charts = {
        **({"roc": roc_chart(figures)} if is_binary(figures) else {}),
        "reliability": reliability_chart(figures),
        "probabilities": probability_chart(figures),
        "by_length": accuracy_by_bin(figures, "by_length", "Accuracy by length", "words", lengths),
        "by_unknown": accuracy_by_bin(
            figures, "by_unknown", "Accuracy by share of unknown words", "unknown words in %", shares
        ),
        "gradient_flow": gradient_chart(figures),
        "by_time": accuracy_by_time(figures),
        "by_params": accuracy_by_params(figures),
    }
    drawn = {name: chart for name, chart in charts.items() if chart.series}
    return [learning_curves(summarise(figures)), *(Picture(name, each.title, [each]) for name, each in drawn.items())]


def bin_names(edges: Sequence[float]) -> list[str]:
    """Names bins by their edges; a bin does not contain its upper edge.

    >>> bin_names((100, 200))
    ['<100', '100–200', '≥200']
    """
    whole = [f"{edge:.0f}" for edge in edges]
    between = [f"{low}–{high}" for low, high in pairwise(whole)]
    return [f"<{whole[0]}", *between, f"≥{whole[-1]}"]
