"""The report on a sweep: one HTML page with a table of its settings and a picture for each field, and the figures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.figures import INLINE_STYLE, LOOKS, save_figure, to_inline_svg
from experiments.html import Markup, fill, read, render
from experiments.imdb.report.chart import Chart, Picture, Series
from experiments.imdb.report.draw import make_figure
from experiments.imdb.report.formats import Table, make_table
from experiments.imdb.report.statistics import seeds_text
from experiments.imdb.report.tables import chart_table
from experiments.imdb.sweep.ledger import Ledger, Setting
from recurrent.training.atomic import write_text

__all__ = ["sweep_pictures", "sweep_table", "write_sweep"]

_HERE = Path(__file__).parent
_SUFFIXES = (".svg", ".png")
_FEW = 8  # values of a field, which are named along its axis
_WIDE = 10  # the ratio of largest and smallest value from which on an axis is logarithmic


def write_sweep(sweep: Path, folder: Path) -> list[Path]:
    """Writes sweep.html, sweep.json and the pictures into a folder, and returns the files.

    Raises:
        ValueError: no setting is finished yet, or the sweep's files are corrupt.
    """
    settings = Ledger(sweep).settings()
    finished = [setting for setting in settings if setting.score is not None]
    if not finished:
        raise ValueError(f"{sweep} has no finished setting yet.")
    try:
        plan = json.loads((sweep / "sweep.json").read_bytes())
        names = list(plan["vary"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{sweep / 'sweep.json'} is corrupt ({error}).") from error
    drawn = [(picture, make_figure(picture)) for picture in sweep_pictures(finished, names)]
    files = [folder / f"{picture.name}{suffix}" for picture, _ in drawn for suffix in _SUFFIXES]
    for file, figure in zip(files, (figure for _, figure in drawn for _ in _SUFFIXES), strict=True):
        save_figure(figure, file)
    body = fill(
        _HERE / "sweep.html",
        name=sweep.name,
        plan=plan,
        settings=sweep_table(settings, names),
        pictures=[
            (picture.name, Markup(to_inline_svg(figure, picture.name, picture.title)), chart_table(picture.charts[0]))
            for picture, figure in drawn
        ],
        description=json.dumps(plan, indent=2, ensure_ascii=False),
    )
    page, data = folder / "sweep.html", folder / "sweep.json"
    write_text(page, render(f"Sweep {sweep.name}", body, styles=[INLINE_STYLE, read("report.css", _HERE)]))
    write_text(data, json.dumps({"sweep": plan, "settings": [each._asdict() for each in settings]}, indent=1) + "\n")
    return [page, data, *files]


def sweep_table(settings: Sequence[Setting], names: Sequence[str]) -> Table:
    """Lists the settings, the best one first; those that failed or are open come last."""
    ordered = sorted(settings, key=lambda each: -1.0 if each.score is None else each.score, reverse=True)
    rows = []
    for setting in ordered:
        values = [_text(setting.values.get(name)) for name in names]
        said = "" if setting.best else setting.failure or "not finished"
        both = [seeds_text(each) if each else "" for each in (setting.best, setting.last)]
        rows.append([str(setting.number), *values, *both, said])
    head = ["setting", *names, "best epoch", "last epoch", ""]
    return make_table("Validation accuracy: mean ± standard deviation over seeds", head, rows)


def sweep_pictures(finished: Sequence[Setting], names: Sequence[str]) -> list[Picture]:
    """Describes a picture for each field that is varied: each setting's accuracy against the field's value."""
    charts = {name: _chart(finished, name) for name in names}
    return [Picture(f"sweep_{name}", chart.title, [chart]) for name, chart in charts.items()]


def _chart(finished: Sequence[Setting], name: str) -> Chart:
    values = [setting.values.get(name) for setting in finished]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    is_number = len(numbers) == len(values) and len(set(numbers)) > _FEW
    in_order = sorted(values, key=lambda value: (value not in numbers, value if value in numbers else 0, _text(value)))
    texts = [] if is_number else list(dict.fromkeys(map(_text, in_order)))
    places = [float(each) for each in numbers] if is_number else [float(texts.index(_text(each))) for each in values]
    points = [(place, setting.score) for place, setting in zip(places, finished, strict=True)]
    whiskers = [
        (place, min(setting.best or []), max(setting.best or []))
        for place, setting in zip(places, finished, strict=True)
    ]
    has_seeds = any(len(setting.best or []) > 1 for setting in finished)
    series = Series("a setting", LOOKS[0], points, line="", whiskers=whiskers if has_seeds else ())
    return Chart(
        f"Accuracy by {name}",
        name,
        "validation accuracy, best epoch",
        [series],
        x_names=texts,
        is_log_x=is_number and min(places) > 0 and max(places) >= _WIDE * min(places),
        whisker_label="lowest to highest seed" if has_seeds else "",
    )


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple | bool) or value is None else str(value)
