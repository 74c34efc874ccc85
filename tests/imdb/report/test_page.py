"""The page of a report, and its pictures, from the figures of the documents."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from experiments.figures import CELLS, INLINE_STYLE, LOOKS, to_inline_svg
from experiments.html import Markup, render
from experiments.imdb.report.chart import looks, seeds_in_words
from experiments.imdb.report.draw import make_figure, save_picture
from experiments.imdb.report.pictures import make_pictures
from tests.browser import new_page
from tests.figures.geometry import faults
from tests.layout import FAULTS

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def figures():
    return json.loads((ROOT / "docs/imdb/report.json").read_text())


@pytest.fixture(scope="module")
def pictures(figures):
    return {each.name: each for each in make_pictures(figures)}


def key_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.texts]


def test_no_text_lies_on_data_or_on_other_text_or_is_too_small(pictures):
    for name, picture in pictures.items():
        assert faults(make_figure(picture)) == [], name


def test_a_key_explains_what_is_drawn(pictures):
    keys = {name: key_of(make_figure(picture)) for name, picture in pictures.items()}
    assert keys["learning_curves"] == [
        "GRU", "LSTM", "SimpleRNN", "band: lowest to highest of 3 seeds", "large mark: best epoch",
        "published LSTM, best: 0.8870", "validation, mean over seeds", "training, mean over seeds",
    ]  # fmt: skip
    assert keys["roc"][3:] == ["band: lowest to highest of 3 seeds", "chance"]
    assert keys["reliability"][3:] == ["perfectly calibrated"]
    assert keys["probabilities"] == ["GRU", "LSTM", "SimpleRNN"]
    assert keys["by_length"][3:] == ["95 % interval of one run (Wilson)"]
    assert keys["gradient_flow"][3:] == [
        "h, after training",
        "c, after training",
        "h, before training",
        "c, before training",
    ]


def test_series_differ_in_more_than_colour(pictures):
    for name, picture in pictures.items():
        for chart in picture.charts:
            shapes = [(each.look.marker, each.look.is_hollow, each.line) for each in chart.series]
            assert len(set(shapes)) == len(shapes), name


def test_a_cell_has_its_look_and_no_two_recipes_share_one():
    groups = {"a": "gru", "b": "gru", "c": "lstm", "d": "layer_norm_gru"}
    found = looks(groups)
    assert (found["a"], found["c"], found["d"]) == (CELLS["gru"], CELLS["lstm"], CELLS["layer_norm_gru"])
    assert found["b"] not in CELLS.values()
    many = looks({str(number): "lstm" for number in range(2 * len(LOOKS))})
    assert len(set(many.values())) == len(many)
    assert len({(look.marker, look.is_hollow) for look in many.values()}) == len(many)
    assert len(looks({str(number): "lstm" for number in range(20)})) == 20


def test_seeds_are_spoken_of_where_a_recipe_has_several():
    assert seeds_in_words([1, 1]) == ""
    assert seeds_in_words([2, 1]) == "lowest to highest of 2 seeds"


def test_the_same_picture_gives_the_same_bytes(pictures, tmp_path):
    for name in ("one", "two"):
        save_picture(pictures["roc"], tmp_path / f"{name}.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_bins_that_no_review_falls_into_are_left_out(figures):
    empty = json.loads(json.dumps(figures))
    for run in empty["runs"].values():
        run["by_length"]["accuracy"][0], run["by_length"]["count"][0] = None, 0
        run["reliability"]["count"][3] = 0
        run["reliability"]["probability"][3] = run["reliability"]["share"][3] = None
    found = {each.name: each.charts[0] for each in make_pictures(empty)}
    for series in found["by_length"].series:
        assert series.points[0][1] is None
        assert len(series.whiskers) == len(series.points) - 1
    assert {len(series.points) for series in found["reliability"].series} == {14}
    for name in ("by_length", "reliability"):
        make_figure(next(each for each in make_pictures(empty) if each.name == name))


def test_whiskers_hold_their_dots(pictures):
    for name in ("by_length", "by_unknown"):
        for series in pictures[name].charts[0].series:
            for (_, value), (_, low, high) in zip(series.points, series.whiskers, strict=True):
                assert low < value < high


def test_the_band_of_the_roc_holds_its_line(pictures):
    for series in pictures["roc"].charts[0].series:
        lines, bands = np.array(series.points), np.array(series.band)
        assert (bands[:, 1] <= lines[:, 1] + 1e-12).all()
        assert (lines[:, 1] <= bands[:, 2] + 1e-12).all()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.usefixtures("one_browser")
def test_pictures_fill_the_page_and_no_more(pictures, width, tmp_path):
    svg = "".join(
        f"<figure>{to_inline_svg(make_figure(each), name, each.title)}</figure>" for name, each in pictures.items()
    )
    page = render("t", Markup(f'<div class="pictures">{svg}</div>'), styles=[INLINE_STYLE])
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(ids)) == len(ids)
    with new_page(width=width) as page:
        page.goto((tmp_path / "page.html").as_uri())
        assert page.locator("svg.picture").count() == len(pictures)
        assert page.evaluate(FAULTS) == []
        widths = page.locator("svg.picture").evaluate_all(
            "(all) => all.map((each) => each.getBoundingClientRect().width)"
        )
    assert all(340 < each < 680 for each in widths)
