"""The house style: contrast on light and dark pages, one palette, pictures that follow the page that shows them."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from experiments.figures import (
    CELL_LABELS,
    CELLS,
    INLINE_STYLE,
    OTHERS,
    SERIES,
    house_style,
    key_below,
    new_figure,
    save_figure,
    to_inline_svg,
)
from experiments.figures.palette import BACKGROUND, DARK, MUTED, REFERENCE, TEXT
from experiments.html.colours import colour_rules
from tests.browser import new_page
from tests.contrast import contrast
from tests.figures.geometry import faults

ROOT = Path(__file__).parents[2]
PICTURES = sorted(path for path in (ROOT / "docs").rglob("*.svg") if "_build" not in path.parts)


def example():
    with house_style():
        figure = new_figure(3)
        axes = figure.subplots()
        (line,) = axes.plot([0, 1, 2], [1, 3, 2], **CELLS["gru_chrono"].style())
        axes.set_title("title")
        key_below(figure, [(line, "line")], columns=1)
        return figure


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_is_enough_on_light_and_on_dark_pages(scheme):
    for colour in (TEXT, MUTED):
        assert contrast(colour[scheme], BACKGROUND[scheme]) >= 4.5
    for colour in (REFERENCE, *SERIES, *OTHERS, *(look.colour for look in CELLS.values())):
        assert contrast(colour[scheme], BACKGROUND[scheme]) >= 3


def test_each_colour_has_one_partner_and_each_cell_a_look_of_its_own():
    assert len(DARK) == 5 + len(SERIES) + 2 + len(OTHERS)
    assert len(set(CELLS.values())) == len(CELLS)
    assert CELL_LABELS.keys() == CELLS.keys()
    assert len(set(CELL_LABELS.values())) == len(CELLS)
    assert len({(look.marker, look.is_hollow) for look in CELLS.values()}) == len(CELLS)  # without the colour too


def test_the_curve_of_pages_has_the_colour_of_the_first_series():
    assert re.findall(r"--curve: (#\w+);", colour_rules()) == [*SERIES[0]]


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").rglob("*.css")), ids=lambda path: path.name)
def test_style_sheets_take_their_colours_from_the_palette(path):
    assert re.findall(r"#[0-9a-f]{6}\b|rgba?\(", path.read_text()) == []


def test_the_same_figure_gives_the_same_bytes_without_a_date(tmp_path):
    for name in ("one.svg", "other.svg"):
        save_figure(example(), tmp_path / "new" / name)
    assert (tmp_path / "new/one.svg").read_bytes() == (tmp_path / "new/other.svg").read_bytes()
    save_figure(example(), tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 5_000


def test_the_checks_of_figures_see_text_on_data_text_on_text_and_small_text():
    assert faults(example()) == []
    figure = example()
    with house_style():
        axes = figure.axes[0]
        axes.text(1, 3, "on the line")
        axes.text(1, 1.2, "small", fontsize=5)
        axes.text(1, 1.2, "on text")
        axes.text(1.9, 1.1, "much too long").set_in_layout(False)
        axes.fill_between([0, 0.5], 1, 2)
        axes.text(0.1, 1.8, "on a band")
        figure.legends.clear()
        axes.legend(["key"], loc="upper left")
    found = " ".join(faults(figure))
    for each in (
        "'on the line' lies on Line2D",
        "'small' is",
        "'on text'",
        "'much too long' is cut off",
        "'on a band' lies on",
    ):
        assert each in found
    assert "a key lies in the axes" in found


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_every_colour_of_the_committed_pictures_has_a_dark_partner(path):
    text = path.read_text(encoding="utf-8")
    drawn, rules = text.replace(sheet := text[text.index("<style") : text.index("</style>")], ""), sheet
    used = set(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", drawn))
    assert used
    for attribute, colour in used:
        assert f'[style*="{attribute}: {colour}"] {{ {attribute}: {DARK[colour]} !important }}' in rules


@pytest.mark.parametrize(
    "is_dark, style, wanted",
    [
        (False, "", 0),
        (True, "", 1),
        (True, "color-scheme: light dark", 1),
        (True, "color-scheme: light", 0),
        (False, "color-scheme: dark", 1),
    ],
)
@pytest.mark.usefixtures("one_browser")
def test_a_picture_follows_the_scheme_of_the_page_that_shows_it(is_dark, style, wanted, tmp_path):
    save_figure(example(), tmp_path / "example.svg")
    (tmp_path / "page.html").write_text(f'<html style="{style}"><body><img src="example.svg">', encoding="utf-8")
    with new_page(is_dark=is_dark) as page:
        page.goto((tmp_path / "page.html").as_uri())
        shown = Image.open(io.BytesIO(page.locator("img").screenshot())).convert("RGB")
    assert shown.size[0] > 500
    assert "#" + bytes(shown.getpixel((2, 2))).hex() == BACKGROUND[wanted]
    darkest, lightest = shown.convert("L").getextrema()  # of text, and of the background
    assert darkest < 60
    assert lightest > 200


def inline_page(**names):
    figures = "".join(to_inline_svg(example(), name, label) for name, label in names.items())
    style = ":root { --background: #14171b; color-scheme: light dark }" + INLINE_STYLE
    return f"<!doctype html><style>{style}</style><body>{figures}"


def test_inline_pictures_share_no_id_and_load_nothing():
    page = inline_page(one="first", other='"second" <b>')
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) > 20
    assert len(set(ids)) == len(ids)
    assert all(each.startswith(("one-", "other-")) for each in ids)
    used = re.findall(r'(?:href="#|url\(#)([^")]*)', page)
    assert used
    assert set(used) <= set(ids)
    assert 'aria-label="&quot;second&quot; &lt;b&gt;"' in page
    assert page.count("<style") == 1
    assert set(re.findall(r"https?://[^\"'\s]*", page)) <= {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert inline_page(one="first") == inline_page(one="first")


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.usefixtures("one_browser")
def test_an_inline_picture_has_the_colours_of_its_page(is_dark, tmp_path):
    (tmp_path / "page.html").write_text(inline_page(one="a picture"), encoding="utf-8")
    with new_page(is_dark=is_dark) as page:
        page.goto((tmp_path / "page.html").as_uri())
        shown = Image.open(io.BytesIO(page.locator("svg").screenshot())).convert("RGB")
        assert page.get_by_role("img", name="a picture").count() == 1
    colours = {"#" + bytes(colour).hex() for _, colour in shown.getcolors(1 << 20)}
    assert "#" + bytes(shown.getpixel((2, 2))).hex() == "#14171b"  # the page's
    line = CELLS["gru_chrono"].colour
    assert (line[is_dark] in colours, line[not is_dark] in colours) == (True, False)  # markers too, drawn by <use>
    assert TEXT[is_dark] in colours
