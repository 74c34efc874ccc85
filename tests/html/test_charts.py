"""The curve of charts.js in a real browser, where there is one."""

import json

import pytest

from experiments.html import Markup, read, render
from tests.browser import new_page
from tests.layout import FAULTS

pytestmark = pytest.mark.usefixtures("one_browser")

SCRIPT = """
const seen = [], at = (id) => document.getElementById(id), data = charts.data();
const curve = charts.line(at("line"), {...data.line, onHover: (index) => seen.push(index)});
const plot = at("line").querySelector(".chart-plot");
const press = (key) => plot.dispatchEvent(new KeyboardEvent("keydown", {key}));
const read = () => [...at("line").querySelector("[aria-live]").children].map((each) => each.textContent);
const readings = ["ArrowRight", "ArrowRight", "End", "ArrowRight", "Home", "Escape"].map((key) => (press(key), read()));
const path = () => plot.querySelector("path.line").getAttribute("d"), before = path();
curve.select(1);
const selected = read();
curve.update({points: [[1, 0.25], [2, 0.75]]});
const found = {
  seen, readings, selected, paths: [before, path()], updated: read(),
  ticks: [...plot.querySelectorAll("text")].map((each) => each.textContent),
  key: [...at("line").querySelectorAll(".chart-key > span")].map((each) => each.textContent),
  images: document.images.length, attacked: window.attacked === true,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
};
at("found").textContent = JSON.stringify(found);
"""
NAME = "<img src=x onerror='attacked=true'>"
DATA = {
    "line": {
        "title": NAME,
        "xLabel": "epoch",
        "yLabel": NAME,
        "yRange": [0, 1],
        "references": [{"y": 0.5, "label": NAME}],
        "points": [[1, 0.25], [2, 0.5], [3, None], [4, 1.0]],
    },
}


@pytest.fixture(scope="module")
def found(tmp_path_factory, one_browser):
    folder = tmp_path_factory.mktemp("browser")
    figures = '<figure id="line"></figure><pre id="found"></pre>'
    wide = '<div class="scroll"><table><tr>' + "<td>12345678</td>" * 50 + "</tr></table></div>"
    attack = "<script>attacked = true</script><img src='data:,' onerror='attacked = true'>"
    (folder / "page.html").write_text(
        render("t", Markup(figures + wide + attack), DATA, [read("charts.js"), SCRIPT], [read("charts.css")]),
        encoding="utf-8",
    )
    with new_page(width=390, height=800) as page:
        page.goto((folder / "page.html").as_uri())
        found = json.loads(page.locator("#found").text_content())
        return {**found, "attacked": found["attacked"] or page.evaluate("window.attacked === true")}


def test_keys_move_a_readout_that_is_announced(found):
    first, second, last = ["epoch 1", f"{NAME} 0.25"], ["epoch 2", f"{NAME} 0.5"], ["epoch 4", f"{NAME} 1"]
    assert found["readings"] == [first, second, last, last, first, []]
    assert found["seen"] == [0, 1, 3, 0, None]


def test_a_selected_point_is_read_without_a_call_and_stays_when_the_curve_changes(found):
    assert found["selected"] == ["epoch 2", f"{NAME} 0.5"]
    assert found["updated"] == ["epoch 2", f"{NAME} 0.75"]
    assert found["paths"][1].count("L") == 1


def test_a_value_that_is_missing_leaves_a_gap(found):
    assert found["paths"][0].count("M") == 2
    assert found["paths"][0].count("L") == 1


def test_data_stays_text_and_only_scripts_that_were_named_run(found):
    assert found["attacked"] is False
    assert found["images"] == 1  # the one of the body
    assert found["key"] == [f"{NAME}: 0.5"]
    assert NAME in found["ticks"]  # the y label


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_text_lies_on_a_curve_that_runs_along_a_reference(width, is_dark, tmp_path):
    options = {
        "title": "t",
        "xLabel": "words",
        "yLabel": "p",
        "yRange": [0, 1],
        "points": [[at, 0.5 + 0.04 * (at % 3)] for at in range(1001)],
        "references": [{"y": 0.5, "label": "undecided"}],
    }
    script = 'charts.line(document.getElementById("a"), charts.data());'
    page = render("t", Markup('<figure id="a"></figure>'), options, [read("charts.js"), script], [read("charts.css")])
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    with new_page(width=width, is_dark=is_dark) as page:
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate(FAULTS) == []
        assert page.inner_text("#a .chart-key") == "undecided: 0.5"


def test_a_phone_scrolls_in_one_direction_alone(found):
    assert found["overflow"] <= 0
