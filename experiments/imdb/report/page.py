"""The page of a report: figures as tables and pictures, and below each picture its figures as tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.figures import INLINE_STYLE, to_inline_svg
from experiments.html import Markup, fill, read, render
from experiments.imdb.report.chart import Picture
from experiments.imdb.report.class_tables import MOST_COLUMNS, class_table, pairs_table
from experiments.imdb.report.confusion import confusion_table
from experiments.imdb.report.formats import Table, bytes_text
from experiments.imdb.report.tables import (
    accuracy_table,
    changes_table,
    chart_table,
    cost_table,
    epochs_table,
    flow_table,
    has_seeds,
    is_binary,
    metrics_table,
)
from experiments.imdb.reviews.source import IMDB_CLASSES

__all__ = ["make_page"]

_HERE = Path(__file__).parent
_SHORT = 160  # characters of a text that are shown before a click


class _Inline(NamedTuple):
    """A picture as the template takes it."""

    name: str
    svg: Markup
    tables: list[Table]


def make_page(
    figures: Mapping[str, Any], pictures: Sequence[tuple[Picture, Any]], texts: Sequence[str], is_original: bool
) -> str:
    """Returns the page as HTML.

    Args:
        figures: as `gather` makes them.
        pictures: each with its Matplotlib figure.
        texts: of the mistakes.
        is_original: whether the texts are the source's own, not words decoded from ids.
    """
    body = fill(
        _HERE / "report.html",
        figures=figures,
        recipes=[(label, len(group["runs"])) for label, group in figures["groups"].items()],
        has_seeds=has_seeds(figures),
        pictures={picture.name: _inline(picture, drawn) for picture, drawn in pictures},
        accuracies=accuracy_table(figures),
        changes=changes_table(figures),
        metrics=metrics_table(figures),
        confusions=[table for label in figures["groups"] for table in _confusions(figures, label)],
        is_binary=is_binary(figures),
        mistakes=[_mistake(figures, *each) for each in zip(figures["mistakes"], texts, strict=True)],
        is_original=is_original,
        flow_reviews=next(iter(figures["runs"].values()))["gradient_flow_reviews"],
        flow=flow_table(figures),
        cost=cost_table(figures),
        peak=bytes_text(figures["peak_bytes"]),
        runs=[_run(name, run) for name, run in figures["runs"].items()],
    )
    return render("Report on trained runs", body, styles=[INLINE_STYLE, read("report.css", _HERE)])


def _confusions(figures: Mapping[str, Any], label: str) -> list[Table]:
    """Returns the confusion matrix of a recipe; of more than two classes also the figures of each."""
    if is_binary(figures):
        return [confusion_table(figures, label)]
    is_small = len(figures["classes"]) <= MOST_COLUMNS
    return [(confusion_table if is_small else pairs_table)(figures, label), class_table(figures, label)]


def _inline(picture: Picture, drawn: Any) -> _Inline:
    svg = to_inline_svg(drawn, picture.name, picture.title)
    return _Inline(picture.name, Markup(svg), [chart_table(each) for each in picture.charts])


def _mistake(figures: Mapping[str, Any], mistake: Mapping[str, Any], text: str) -> dict[str, str]:
    """Returns the facts about a mistake and its text; a long text also has a start, shown before a click."""
    probability = mistake["probability"]
    shown = f"{probability:.4f}" if probability >= 1e-4 else f"{probability:.1e}"
    classes = figures.get("classes", IMDB_CLASSES)
    of_class = classes[1] if is_binary(figures) else classes[mistake["label"]]
    predicted = "" if is_binary(figures) else f"predicted {classes[mistake['predicted']]}, "
    facts = (
        f"actual {classes[mistake['label']]}; {predicted}P({of_class}) {shown} by "
        f"{figures['runs'][mistake['run']]['label']} (loss {mistake['loss']:.2f}); wrong in {mistake['num_wrong']} of "
        f"{len(figures['runs'])} runs; review {mistake['example']}"
    )
    text = text.replace("<br />", "\n")  # line ends in the reviews' own texts
    start = "" if len(text) <= _SHORT else text[:_SHORT].rsplit(" ", 1)[0] + " …"
    return {"facts": facts, "start": start, "text": text}


def _run(name: str, run: Mapping[str, Any]) -> dict[str, Any]:
    manifest = json.dumps(run["manifest"], indent=2, ensure_ascii=False)
    return {"title": f"{run['label']} ({name})", "epochs": epochs_table(run), "manifest": manifest}
