"""The documents can be built, and the tutorial's cells run as they stand; the executed copy is of these cells."""

import html
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from experiments.figures import BACKGROUND
from tests.browser import new_page

ROOT = Path(__file__).parents[1]


def cells(source):
    return [cell.strip() for cell in source]


def test_the_executed_tutorial_is_of_the_cells_that_are_written():
    written = re.findall(
        r"```\{code-cell\} ipython3\n(?::tags:[^\n]*\n|---\n.*?---\n)?(.*?)```", text("docs/tutorial.md"), flags=re.S
    )
    notebook = json.loads(text("docs/tutorial.ipynb"))
    executed = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells(executed) == cells(written)
    assert any(
        "image/svg+xml" in output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])
    )


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the web pages."""
    folder = tmp_path_factory.mktemp("docs") / "html"
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q", "-b", "html"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    build = subprocess.run(
        [*command, ROOT / "docs", folder], env=environment, capture_output=True, text=True, timeout=500
    )
    assert build.returncode == 0, build.stderr
    return folder


@pytest.mark.slow
def test_the_documents_can_be_built_and_nothing_in_them_warns(built):
    page = (built / "tutorial.html").read_text(encoding="utf-8")
    # Figures that have a closed form, as the page's own cells computed them.
    assert "          1  0.7311        2.2    2.5e-14" in page  # forget bias, gate, half-life, left after 100 steps
    assert "          5  0.9933      103.2    5.1e-01" in page
    assert "Traceback" not in page


@pytest.mark.slow
def test_the_reference_has_public_names_and_shapes_as_they_are_written(built):
    page = (built / "reference" / "running.html").read_text(encoding="utf-8")
    assert 'id="recurrent.run"' in page
    words = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "inputs: PyTree[Float[Array, '*batch time _']]" in words
    for each in (built / "reference").glob("*.html"):
        assert "jaxlib" not in each.read_text(encoding="utf-8"), each


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "index",
        "tutorial",
        "reliability",
        "conventions",
        "faults",
        "costs",
        "scaling",
        "memory",
        "accuracy",
        "how-to/index",
        "how-to/from-keras",
        "how-to/own-training-loop",
        "reference/running",
        "reference/training",
    ],
)
@pytest.mark.usefixtures("one_browser")
def test_nothing_of_a_document_is_cut_off_on_a_phone(built, name):
    with new_page(width=390) as page:
        page.goto((built / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        cut = """() => [...document.querySelectorAll("article pre, article img")]
            .filter((each) => each.scrollWidth > each.clientWidth || each.getBoundingClientRect().right > 390)
            .map((each) => each.textContent || each.src)"""
        assert page.evaluate(cut) == []


@pytest.mark.slow
@pytest.mark.usefixtures("one_browser")
def test_columns_of_the_tutorials_figures_stay_in_line_on_a_phone(built):
    with new_page(width=390) as page:
        page.goto((built / "tutorial.html").as_uri())
        outputs = page.locator("div.output pre")
        assert outputs.count() > 5
        for output in outputs.all():
            lines = output.inner_text().rstrip("\n").count("\n") + 1
            tall = output.evaluate(
                "(pre) => pre.getBoundingClientRect().height / parseFloat(getComputedStyle(pre).lineHeight)"
            )
            assert tall < lines + 1.5, output.inner_text()


@pytest.mark.slow
@pytest.mark.usefixtures("one_browser")
def test_pictures_of_the_documents_have_words_and_a_dark_side(built):
    with new_page(is_dark=True) as page:
        page.goto((built / "tutorial.html").as_uri())
        pictures = page.locator("article img").all()
        assert len(pictures) == 6
        assert all(" " in picture.get_attribute("alt") for picture in pictures)
        shown = [picture.get_attribute("src").rsplit(".", 1) for picture in pictures if picture.is_visible()]
        assert [ending for _, ending in shown] == ["svg", "svg", "svg", "svg", "png"]
        assert shown[-1][0].endswith("-dark")
    for name, ending in shown:
        if ending == "svg":
            assert "prefers-color-scheme: dark" in (built / f"{name}.svg").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("one_browser")
def test_a_picture_follows_the_scheme_that_a_reader_switches_to(built):
    with new_page() as page:
        page.goto((built / "tutorial.html").as_uri())
        picture = page.locator("article img[src$='adding.svg']")
        seen = []
        for theme in ("light", "dark"):
            page.evaluate("(theme) => { document.body.dataset.theme = theme }", theme)
            shown = Image.open(io.BytesIO(picture.screenshot())).convert("RGB")
            seen.append("#" + bytes(shown.getpixel((2, 2))).hex())
        assert seen == list(BACKGROUND)
