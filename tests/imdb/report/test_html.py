import math
import re

import pytest

from experiments.imdb.report.charts import bin_names
from experiments.imdb.report.html import bytes_text, chart, details, number, paragraph, table
from experiments.imdb.report.runs import group_labels, in_common
from experiments.imdb.report.series import Chart, colour, spans_seeds
from experiments.imdb.report.tables import accuracy_table, flow_table
from experiments.imdb.training.recipes import Recipe

TEXT = "<b>\"x\" & 'y'</b>"
ESCAPED = "&lt;b&gt;&quot;x&quot; &amp; &#x27;y&#x27;&lt;/b&gt;"


def test_every_text_is_escaped():
    lines = Chart("line", {"title": TEXT, "xLabel": TEXT, "series": [{"name": TEXT, "points": [[1, 0.5]]}]})
    bars = Chart("bars", {"title": TEXT, "xLabel": TEXT, "groups": [TEXT], "series": [{"name": TEXT, "values": [0.5]}]})
    made = [
        table(TEXT, [TEXT, TEXT], [[TEXT, TEXT]]),
        details(TEXT, ""),
        paragraph(TEXT),
        chart({"lines": lines, "bars": bars}, "lines", "bars"),
    ]
    for html, times in zip(made, (6, 1, 1, 9), strict=True):
        assert "<b>" not in html
        assert html.count(ESCAPED) == times


def test_a_column_without_an_entry_is_left_out():
    html = table(
        "t", ["recipe", "half-life", "of single seeds", "slope"], [["LSTM", "3.1", "", 1], ["GRU", "4.2", "", 2]]
    )
    assert re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', html) == ["recipe", "half-life", "slope"]
    assert re.findall(r"<td>([^<]*)</td>", html) == ["3.1", "1", "4.2", "2"]
    with_seeds = table("t", ["", "of single seeds"], [["LSTM", "3 to 4"], ["GRU", ""]])
    assert re.findall(r"<td>([^<]*)</td>", with_seeds) == ["3 to 4", ""]
    assert table("t", ["recipe", "seeds"], []).count("<th ") == 2


def test_seeds_are_spoken_of_where_a_recipe_has_several():
    spread = {"mean": 0.875, "deviation": None, "low": 0.8, "high": 0.9, "kind": "wilson"}
    flow = {"half_life": 2.0, "slope": -0.1, "reach": 9, "share": [1.0]}
    run = {"gradient_flow": {"start": {"hidden": flow}, "end": {"hidden": flow}}}
    group = {"best": spread, "best_epochs": [3], "last": spread, "gradient_flow": run["gradient_flow"]}
    one = {"groups": {"LSTM": {**group, "runs": ["a"]}}, "runs": {"a": run, "b": run}}
    two = {**one, "groups": {"LSTM": {**group, "runs": ["a", "b"]}}}
    for figures, times in ((one, 0), (two, 1)):
        assert accuracy_table(figures).count("standard deviation over seeds</caption>") == times
        assert flow_table(figures).count("of single seeds") == times
        assert spans_seeds(figures) == ({"bandLabel": "band: lowest to highest of 2 seeds"} if times else {})


def test_a_chart_s_figures_hold_each_series_at_each_x():
    series = [{"name": "a", "points": [[1, 0.5], [2, None]]}, {"name": "b", "points": [[2, 0.25], [3, math.nan]]}]
    html = chart({"it": Chart("line", {"title": "t", "xLabel": "x", "series": series})}, "it")
    rows = [row.replace("</td>", "").split("<td>") for row in html.split('<th scope="row">')[1:]]
    assert [[cell.split("<")[0] for cell in row] for row in rows] == [
        ["1", "0.5000", ""],
        ["2", "", "0.2500"],
        ["3", "", ""],
    ]


@pytest.mark.parametrize(
    "value, text",
    [(0.25, "0.2500"), (3, "3"), (12345, "12,345"), (2.5e-9, "2.50e-09"), (2.5e9 + 0.5, "2.50e+09"), (None, "")],
)
def test_numbers_of_any_size_are_readable(value, text):
    assert number(value) == text
    assert (bytes_text(12_300_000), bytes_text(None)) == ("12.3 MB", "not known")


def test_bins_are_named_by_their_edges():
    assert bin_names((100, 200)) == ["<100", "100–200", "≥200"]


def test_recipes_are_named_by_what_they_differ_in():
    assert group_labels([Recipe(seed=1), Recipe(cell="gru", seed=2)]) == ["LSTM", "GRU"]
    masked = [Recipe(epochs=3), Recipe(epochs=3, padding="masked")]
    assert group_labels(masked) == ["LSTM, padding keras", "LSTM, padding masked"]
    assert in_common(masked) == ["epochs 3"]
    assert in_common([Recipe(cell="gru", num_shards=2)]) == []


def test_a_cell_has_its_colour_and_no_two_recipes_share_one():
    groups = {"a": {"cell": "gru"}, "b": {"cell": "gru"}, "c": {"cell": "lstm"}, "d": {"cell": "layer_norm_gru"}}
    colours = [colour({"groups": groups}, name) for name in groups]
    assert colours == [f"var(--series-{number})" for number in (2, 4, 1, 5)]
