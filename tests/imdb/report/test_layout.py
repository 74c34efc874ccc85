"""The charts of a report on a page, at the width of a desktop and of a phone."""

import json
from pathlib import Path

import pytest

from experiments.html import render
from experiments.imdb.report.charts import make_charts
from experiments.imdb.report.html import chart
from tests.browser import new_page
from tests.layout import FAULTS

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def charts():
    return make_charts(json.loads((ROOT / "docs/imdb/report.json").read_text()))


@pytest.mark.parametrize("width", [1280, 390])
def test_no_text_lies_on_data_or_on_other_text(charts, width, tmp_path):
    script = (ROOT / "experiments/imdb/report/report.js").read_text()
    data = {"charts": {f"chart-{name}": each for name, each in charts.items()}}
    (tmp_path / "page.html").write_text(render("t", chart(charts, *charts), data, [script]), encoding="utf-8")
    with new_page(width=width) as page:
        page.goto((tmp_path / "page.html").as_uri())
        assert page.locator(".chart-plot").count() == len(charts)
        assert page.evaluate(FAULTS) == []
        assert page.locator("#chart-accuracy .chart-key").inner_text().splitlines() == [
            "published LSTM, best epoch: 0.887", "band: lowest to highest of 3 seeds", "best epoch",
        ]  # fmt: skip
        assert page.locator("#chart-roc .chart-key").inner_text().splitlines() == [
            "chance", "band: lowest to highest of 3 seeds",
        ]  # fmt: skip
        assert page.locator("#chart-by_length .chart-key").inner_text() == "95 % interval of one run (Wilson)"
        assert page.locator("#chart-probabilities .chart-key").is_hidden()
