"""The charts in a real browser, where there is one."""

import json
import re
import shutil
import subprocess

import pytest

from experiments.html import render
from tests.browser import new_page
from tests.layout import FAULTS

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync", "--disable-component-update",
    "--disable-background-networking", "--no-first-run", "--window-size=390,800", "--virtual-time-budget=2000",
    "--dump-dom",
]  # fmt: skip

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")

SCRIPT = """
const seen = [], at = (id) => document.getElementById(id), data = charts.data();
charts.line(at("line"), {...data.line, onHover: (index, x) => seen.push([index, x])});
charts.bars(at("bars"), data.bars).select(1);
const plot = at("line").querySelector(".chart-plot");
const press = (key) => plot.dispatchEvent(new KeyboardEvent("keydown", {key}));
const read = () => [...at("line").querySelector("[aria-live]").children].map((each) => each.textContent);
const readings = ["ArrowRight", "ArrowRight", "End", "ArrowRight", "Home", "Escape"].map((key) => (press(key), read()));
const lines = () => at("line").querySelectorAll("path.line").length, before = lines();
at("line").querySelectorAll("button")[1].click();
press("Home");
const found = {
  seen, readings, lines: [before, lines()], without: read(),
  pressed: [...at("line").querySelectorAll("button")].map((each) => each.getAttribute("aria-pressed")),
  ticks: [...plot.querySelectorAll("text")].map((each) => each.textContent),
  paths: [...plot.querySelectorAll("path.line")].map((each) => each.getAttribute("d")),
  key: [...at("line").querySelectorAll(".chart-key > span")].map((each) => each.textContent),
  bars: [...at("bars").querySelectorAll("rect:not(.swatch rect)")].map((each) => Number(each.getAttribute("height"))),
  bar: [...at("bars").querySelector("[aria-live]").children].map((each) => each.textContent),
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
        "references": [{"y": 0.5, "label": NAME}],
        "bandLabel": "lowest to highest",
        "markLabel": "best",
        "series": [
            {
                "name": NAME,
                "points": [[1, 0.25], [2, 0.5], [3, None], [4, 1.0]],
                "band": [[1, 0.2, 0.3], [2, 0.4, 0.6]],
            },
            {"name": "b", "points": [[1, 0.125], [2, 0.25]]},
        ],
    },
    "bars": {
        "groups": ["few", "many"],
        "counts": [10, 1000],
        "xLabel": "words",
        "yRange": [0.5, 1],
        "series": [{"name": "c", "values": [0.75, 1.0], "low": [0.6, 0.9], "high": [0.8, 1.0]}],
    },
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    figures = '<figure id="line"></figure><figure id="bars"></figure><pre id="found"></pre>'
    wide = '<div class="scroll"><table><tr>' + "<td>12345678</td>" * 50 + "</tr></table></div>"
    attack = "<script>attacked = true</script><img src='data:,' onerror='attacked = true'>"
    (folder / "page.html").write_text(render("t", figures + wide + attack, DATA, [SCRIPT]), encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", (folder / "page.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    text = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]
    return json.loads(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def test_keys_move_a_readout_that_is_announced(found):
    first, second, last = (
        ["epoch 1", f"{NAME} 0.25", "b 0.125"],
        ["epoch 2", f"{NAME} 0.5", "b 0.25"],
        ["epoch 4", f"{NAME} 1", "b 0.25"],
    )
    assert found["readings"] == [first, second, last, last, first, []]
    assert found["seen"] == [[0, 1], [1, 2], [3, 4], [0, 1], [None, None], [0, 1]]


def test_a_button_of_the_legend_switches_its_series_off(found):
    assert found["lines"] == [2, 1]
    assert found["pressed"] == ["true", "false"]
    assert found["without"] == ["epoch 1", f"{NAME} 0.25"]


def test_a_value_that_is_missing_leaves_a_gap(found):
    assert found["paths"][0].count("M") == 2
    assert found["paths"][0].count("L") == 1


def test_bars_are_as_high_as_their_values_above_the_range_s_low_end(found):
    assert found["bars"][1] == pytest.approx(2 * found["bars"][0])
    assert found["bar"] == ["words many", "c 1 (0.9 to 1)"]


def test_data_stays_text_and_only_scripts_that_were_named_run(found):
    assert found["attacked"] is False
    assert found["images"] == 1  # the one of the body
    assert found["key"][0] == f"{NAME}: 0.5"


def test_a_key_says_what_lines_and_bands_mean_as_far_as_they_are_there(found):
    # The series with the band is shown, and nothing has a mark.
    assert found["key"] == [f"{NAME}: 0.5", "lowest to highest"]
    assert NAME not in found["ticks"]


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_text_lies_on_curves_that_run_along_a_reference(width, is_dark, tmp_path):
    series = [{"name": "a", "points": [[at, 0.5 + 0.04 * (at % 3)] for at in range(1001)]}]
    references = [{"y": 0.5, "label": "undecided"}]
    options = {
        "title": "t",
        "xLabel": "words",
        "yLabel": "p",
        "yRange": [0, 1],
        "series": series,
        "references": references,
    }
    groups = [f"{low}-{low + 100}" for low in range(0, 1000, 100)]
    bars = {
        "groups": groups,
        "counts": [12345] * 10,
        "xLabel": "words",
        "series": [{"name": "b", "values": [0.5] * 10}],
    }
    script = """
        charts.line(document.getElementById("a"), charts.data().a);
        charts.bars(document.getElementById("b"), charts.data().b);
    """
    page = render("t", '<figure id="a"></figure><figure id="b"></figure>', {"a": options, "b": bars}, [script])
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    with new_page(width=width, is_dark=is_dark) as page:
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate(FAULTS) == []
        assert page.inner_text("#a .chart-key") == "undecided: 0.5"


def test_a_phone_scrolls_in_one_direction_alone(found):
    assert found["overflow"] <= 0
