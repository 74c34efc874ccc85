"""Tables of a report as values, and as HTML."""

import math
import re
from pathlib import Path

import pytest

from experiments import html
from experiments.figures import LOOKS
from experiments.imdb.report.chart import Chart, Series
from experiments.imdb.report.formats import bytes_text, make_table, number
from experiments.imdb.report.pictures import bin_names
from experiments.imdb.report.runs import Named, group_labels, in_common, summarise
from experiments.imdb.report.statistics import spread
from experiments.imdb.report.tables import (
    accuracy_lines,
    accuracy_table,
    changes_table,
    chart_table,
    epochs_table,
    flow_table,
)
from experiments.imdb.runs.open import Run
from experiments.imdb.training.recipes import Recipe
from recurrent.training import Record

TEXT = "<b>\"x\" & 'y'</b>"
ESCAPED = "&lt;b&gt;&#34;x&#34; &amp; &#39;y&#39;&lt;/b&gt;"


def run_with(records: list[Record]) -> Run:
    return Run(
        **dict.fromkeys(Run._fields, None) | {"recipe": Recipe(), "records": records, "timings": [], "manifest": {}}
    )


def test_every_text_is_escaped(tmp_path: Path):
    lines = Chart(TEXT, TEXT, TEXT, [Series(TEXT, LOOKS[0], [(1, 0.5)])])
    bins = Chart(TEXT, TEXT, TEXT, [Series(TEXT, LOOKS[0], [(0, 0.5)])], x_names=[TEXT], counts=[7])
    template = tmp_path / "own.html"
    template.write_text(
        '{% from "parts.html" import details, table %}{{ table(it) }}{% call details(name) %}{{ name }}{% endcall %}'
    )
    for table, times in (
        (make_table(TEXT, [TEXT, TEXT], [[TEXT, TEXT]]), 6),
        (chart_table(lines), 4),
        (chart_table(bins), 5),
    ):
        page = html.fill(template, it=table, name=TEXT)
        assert "<b>" not in page
        assert page.count(ESCAPED) == times + 2


def test_a_column_without_an_entry_is_left_out():
    table = make_table(
        "t", ["recipe", "half-life", "of single seeds", "slope"], [["LSTM", "3.1", "", 1], ["GRU", "4.2", "", 2]]
    )
    assert table.head == ["recipe", "half-life", "slope"]
    assert table.rows == [["LSTM", "3.1", "1"], ["GRU", "4.2", "2"]]
    with_seeds = make_table("t", ["", "of single seeds"], [["LSTM", "3 to 4"], ["GRU", ""]])
    assert with_seeds.rows == [["LSTM", "3 to 4"], ["GRU", ""]]
    assert make_table("t", ["recipe", "seeds"], []).head == ["recipe", "seeds"]


def test_seeds_are_spoken_of_where_a_recipe_has_several():
    spread = {"mean": 0.875, "deviation": None, "low": 0.8, "high": 0.9, "kind": "wilson", "num_left_out": 0}
    flow = {"half_life": 2.0, "slope": -0.1, "reach": 9, "share": [1.0]}
    run = {"gradient_flow": {"start": {"hidden": flow}, "end": {"hidden": flow}}}
    group = {"best": spread, "best_epochs": [3], "last": spread, "gradient_flow": run["gradient_flow"]}
    one = {"groups": {"LSTM": {**group, "runs": ["a"]}}, "runs": {"a": run, "b": run}}
    two = {**one, "groups": {"LSTM": {**group, "runs": ["a", "b"]}}}
    for figures, has_seeds in ((one, False), (two, True)):
        assert accuracy_table(figures).caption.endswith("standard deviation over seeds") == has_seeds
        assert ("single seeds" in flow_table(figures).head) == has_seeds


def test_a_chart_s_figures_hold_each_series_at_each_x():
    series = [
        Series("a", LOOKS[0], [(1, 0.5), (2, None)]),
        Series("b", LOOKS[1], [(2, 0.25), (3, math.nan)]),
    ]
    table = chart_table(Chart("t", "x", "y", series))
    assert table == ("t", ["x", "a", "b"], [["1", "0.5000", ""], ["2", "", "0.2500"], ["3", "", ""]])


def test_a_chart_of_bins_has_a_row_for_each_bin_though_dots_stand_side_by_side():
    series = [
        Series("a", LOOKS[0], [(-0.2, 0.5), (0.8, None)]),
        Series("b", LOOKS[1], [(0.2, 0.25), (1.2, 0.75)]),
    ]
    table = chart_table(Chart("t", "words", "y", series, x_names=["<100", "≥100"], counts=[1200, 7]))
    assert table.head == ["words", "a", "b", "reviews"]
    assert table.rows == [["<100", "0.5000", "0.2500", "1,200"], ["≥100", "", "0.7500", "7"]]


def test_accuracies_can_be_pasted_into_a_document():
    spread = {"mean": 0.875, "deviation": 0.01, "low": 0.8, "high": 0.9, "kind": "t", "num_left_out": 0}
    group = {"best": spread, "last": {**spread, "mean": 0.85}, "runs": ["a", "b"], "seconds_an_epoch": 12.34}
    alone = {"best": None, "last": {**spread, "deviation": None}, "runs": ["c"], "seconds_an_epoch": None}
    assert accuracy_lines({"groups": {"LSTM, padding keras": group, "GRU": alone}})[2:] == [
        "| LSTM, padding keras | 2     | 0.8750 ± 0.0100 | 0.8500 ± 0.0100 | 12.3              |",
        "| GRU                 | 1     | -               | 0.8750          | -                 |",
    ]


def test_a_seed_without_an_accuracy_is_left_out_and_said():
    records = [
        Record(1, 10, {"loss": 0.5, "acc": 0.7}, {"loss": 0.6, "acc": 0.75}),
        Record(2, 20, {"loss": 0.5, "acc": 0.7}, {"loss": math.nan, "acc": math.nan}),
    ]
    for seeds, best, last in (
        ([records], "0.7500", "nan"),
        ([records, records[:1]], "0.7500 ± 0.0000", "0.7500 (1 seed left out: nan)"),
        ([records[1:], records[:1]], "0.7500 (1 seed left out: nan)", "0.7500 (1 seed left out: nan)"),
        ([records[1:]] * 2, "-", "nan"),
    ):
        runs = [Named(f"run{number}", "", "LSTM", run_with(each), Path()) for number, each in enumerate(seeds)]
        figures = {"groups": {"LSTM": summarise(runs)}}
        cells = [cell.strip() for cell in accuracy_lines(figures)[2].split("|")]
        assert cells[3:5] == [best, last]
        table = accuracy_table(figures)
        assert [text for text in table.rows[0] if "nan" in text] == [text for text in (best, last) if "nan" in text]


def test_an_epoch_without_a_time_has_none():
    record = {"epoch": 1, "loss": 0.5, "acc": 0.75, "val_loss": math.nan, "val_acc": 0.8}
    table = epochs_table({"records": [record, {**record, "epoch": 2}], "timings": [{"epoch": 2, "seconds": 1.25}]})
    assert table.rows[0] == ["1", "0.5000", "0.7500", "nan", "0.8000", ""]
    assert table.rows[1][-1] == "1.2"


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


def test_changes_are_told_from_the_first_recipe():
    def group(best, last, runs):
        return {"best": best, "last": last, "runs": runs}

    figures = {
        "groups": {
            "all": group(spread([0.9, 0.91], 5000)._asdict(), spread([0.89, 0.9], 5000)._asdict(), ["a", "b"]),
            "none of it": group(spread([0.88], 5000)._asdict(), spread([0.87], 5000)._asdict(), ["c"]),
            "never finite": group(None, spread([0.5, 0.6], 5000)._asdict(), ["d", "e"]),
        }
    }
    found = changes_table(figures)
    assert found.caption == "Change of the validation accuracy from all"
    assert [row[:2] for row in found.rows] == [["none of it", "-0.0250"], ["never finite", ""]]
    assert re.fullmatch(r"-\d\.\d{4} to [+-]\d\.\d{4}", found.rows[1][-1])
