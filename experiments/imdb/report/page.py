"""The page of a report: what was measured, as tables and charts, each chart with its figures in a table below it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.html import escape, render
from experiments.imdb.report.html import bytes_text, chart, paragraph
from experiments.imdb.report.series import Chart, has_seeds
from experiments.imdb.report.tables import (
    accuracy_table,
    confusion_table,
    cost_table,
    flow_table,
    metrics_table,
    mistakes_list,
    run_list,
)

__all__ = ["make_page"]

_STYLE = """
.tables { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; }
.tables > * { max-width: 100%; }
ol { padding-left: 2rem; max-width: 56rem; }
li { margin: 0.75rem 0; }
li details { margin: 0; }
li summary { color: inherit; }
p.text { white-space: pre-line; }
"""


def make_page(figures: Mapping[str, Any], charts: Mapping[str, Chart], texts: Sequence[str], is_original: bool) -> str:
    """Returns the page as HTML.

    Args:
        figures: as `report.gather` makes them.
        texts: those of the mistakes.
        is_original: the texts are the source's own, not words decoded from ids.
    """
    sections = {
        "training": ("Training", _training(figures, charts)),
        "answers": (f"Answers to the {figures['split']} reviews", _answers(figures, charts)),
        "mistakes": ("Worst mistakes", _mistakes(figures, texts, is_original)),
        "gradients": ("Gradients back through the words", _gradients(figures, charts)),
        "cost": ("Time and memory", _cost(figures)),
        "runs": ("Runs", paragraph("Epochs and manifest of each run.") + run_list(figures)),
    }
    links = " · ".join(f'<a href="#{name}">{escape(title)}</a>' for name, (title, _) in sections.items())
    parts = [
        f'<section id="{name}"><h2>{escape(title)}</h2>{body}</section>' for name, (title, body) in sections.items()
    ]
    title = "What the runs learned"
    body = "\n".join([f"<h1>{title}</h1>", _introduction(figures), f"<nav>{links}</nav>", *parts])
    data = {"charts": {f"chart-{name}": each for name, each in charts.items()}}
    script = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
    return render(title, body, data, [script], [_STYLE])


def _introduction(figures: Mapping[str, Any]) -> str:
    recipes = ", ".join(f"{label} ({len(group['runs'])})" for label, group in figures["groups"].items())
    same = f" All of them with {', '.join(figures['in_common'])}." if figures["in_common"] else ""
    return paragraph(
        f"Recipes and their number of seeds: {recipes}.{same} Measured on {figures['reviews']:,} {figures['split']} "
        f"reviews of the source {figures['source']}, with each run's {figures['checkpoint']} checkpoint."
    )


def _training(figures: Mapping[str, Any], charts: Mapping[str, Chart]) -> str:
    return (
        accuracy_table(figures)
        + paragraph(
            "Intervals are those of the mean over seeds (Student's t) or, for one seed, of its accuracy over reviews "
            "(Wilson). A best epoch was chosen by the very reviews that it is measured on, so it is a little too good."
            if has_seeds(figures)
            else "Intervals are those of one run's accuracy over reviews (Wilson). A best epoch was chosen by the very "
            "reviews that it is measured on, so it is a little too good."
        )
        + chart(charts, "accuracy", "loss")
        + paragraph(
            "Lines are means over seeds. The buttons switch recipes off, and single runs on."
            if has_seeds(figures)
            else "The buttons switch recipes off."
        )
    )


def _answers(figures: Mapping[str, Any], charts: Mapping[str, Chart]) -> str:
    matrices = "".join(confusion_table(figures, label) for label in figures["groups"])
    return (
        metrics_table(figures)
        + f'<h3>Confusion</h3><div class="tables">{matrices}</div>'
        + "<h3>Ranking and calibration</h3>"
        + chart(charts, "roc", "reliability", "probabilities")
        + paragraph(
            "ROC: mean over seeds at the same false positive rate. Reliability: the answers of all seeds together in "
            "15 bins of probability. AUC and calibration error are means over seeds."
            if has_seeds(figures)
            else "Reliability: the answers in 15 bins of probability."
        )
        + "<h3>By kind of review</h3>"
        + chart(charts, "by_length", "by_unknown")
        + paragraph(
            f"Bars {'are means over seeds and ' * has_seeds(figures)}begin at chance. Lengths are words before a "
            "review was cut; unknown are words outside the vocabulary, among those that were read."
        )
    )


def _mistakes(figures: Mapping[str, Any], texts: Sequence[str], is_original: bool) -> str:
    kind = "Texts are the source's own." if is_original else "Texts are words decoded from ids, […] an unknown one."
    what = f"The {len(texts)} reviews with the largest loss of any run; the run named is the one most wrong. {kind}"
    return paragraph(what) + mistakes_list(figures, texts)


def _gradients(figures: Mapping[str, Any], charts: Mapping[str, Chart]) -> str:
    count = next(iter(figures["runs"].values()))["gradient_flow_reviews"]
    seeds = ", and over seeds" if has_seeds(figures) else ""
    return (
        paragraph(
            f"How much of the gradient of a review's log loss arrives at the state h, and at an LSTM's memory c, of an "
            f"earlier word, as a share of what there is at the last word's h: the geometric mean over {count} "
            f"{figures['split']} reviews, the longest that are read{seeds}. Padding is not counted. Start is "
            "before the first step of training (dotted), end is the latest checkpoint."
        )
        + chart(charts, "gradient_flow")
        + flow_table(figures)
        + paragraph(
            "Half-life and slope are those of a straight line through the logarithm, over all words whose gradient is "
            "within float32's range; where that of one review is not, a curve ends. A curve that bends is not told by "
            "them alone."
        )
    )


def _cost(figures: Mapping[str, Any]) -> str:
    resident = bytes_text(figures["peak_bytes"])
    return cost_table(figures) + paragraph(
        "Seconds an epoch are training alone, of epochs done in one go; seconds a run add up all epochs with "
        "evaluation and saving, as far as they were recorded. Memory is what the compiled program of one batch's loss "
        "takes on one device besides weights, reviews and results, as the compiler states it; it was not measured in "
        f"training. The process that made this report had at most {resident} resident, all runs and pictures together."
    )
