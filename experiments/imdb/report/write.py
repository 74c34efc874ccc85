"""Writes a report: one HTML page that stands alone, all figures as JSON, and the pictures as files."""

import json
from pathlib import Path

from experiments.figures import save_figure
from experiments.html import to_json
from experiments.imdb.report.curves import summarise, write_curves
from experiments.imdb.report.draw import make_figure
from experiments.imdb.report.gather import Measured
from experiments.imdb.report.page import make_page
from experiments.imdb.report.pictures import make_pictures
from experiments.imdb.report.reviews import find_texts
from experiments.imdb.reviews.dataset import AnySource
from experiments.imdb.reviews.source import OnProgress, ignore_progress
from experiments.resident_memory import peak_bytes
from recurrent.training.atomic import write_text

__all__ = ["write_report"]

_SUFFIXES = (".svg", ".png")


def write_report(
    measured: Measured,
    source: AnySource,
    data_dir: Path,
    folder: Path,
    on_progress: OnProgress = ignore_progress,
) -> list[Path]:
    """Writes report.html, report.json, learning_curves.json and the pictures into a folder, and returns the files.

    The page alone holds texts of reviews.
    """
    figures = measured.figures
    examples = [mistake["example"] for mistake in figures["mistakes"]]
    texts, is_original = find_texts(source, data_dir, measured.reviews, figures["split"], examples, on_progress)
    on_progress("drawing", 0, 1)
    pictures = [(picture, make_figure(picture)) for picture in make_pictures(figures)]
    files = [folder / f"{picture.name}{suffix}" for picture, _ in pictures for suffix in _SUFFIXES]
    for file, drawn in zip(files, (drawn for _, drawn in pictures for _ in _SUFFIXES), strict=True):
        save_figure(drawn, file)
    figures["peak_bytes"] = peak_bytes()
    page, data, curves = (folder / name for name in ("report.html", "report.json", "learning_curves.json"))
    write_text(page, make_page(figures, pictures, texts, is_original))
    write_text(data, json.dumps(json.loads(to_json(figures)), indent=1) + "\n")
    write_curves(summarise(figures), curves)
    return [page, data, curves, *files]
