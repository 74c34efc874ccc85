import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from experiments.imdb.report.learning_curves import (
    Curves,
    draw,
    make_figure,
    read_curves,
    read_summaries,
    summarise,
    table,
)
from experiments.imdb.training.recipes import Recipe
from recurrent.training import Record
from recurrent.training.run.records import write_lines
from tests.figures.geometry import faults

ROOT = Path(__file__).parents[3]


@pytest.fixture
def runs(tmp_path):
    paths = []
    for seed, accuracies in enumerate([(0.8, 0.7), (0.9, 0.6)]):
        path = tmp_path / f"run{seed}"
        path.mkdir()
        (path / "recipe.json").write_text(json.dumps(dataclasses.asdict(Recipe(seed=seed))))
        write_lines(path / "records.jsonl", [Record(i, i, 0.5, 0.8, 0.5, each) for i, each in enumerate(accuracies, 1)])
        paths.append(path)
    return paths


def test_the_table_holds_mean_and_standard_deviation_over_seeds(runs, tmp_path):
    assert table(read_curves(runs))[2:] == ["| LSTM | 2 | 0.8500 ± 0.0707 | 0.6500 ± 0.0707 | - |"]


def test_the_same_runs_draw_the_same_picture_and_write_its_figures(runs, tmp_path):
    for name in ("one", "two"):
        draw(read_curves(runs), tmp_path / name / "curves.svg")
    assert (tmp_path / "one/curves.svg").read_bytes() == (tmp_path / "two/curves.svg").read_bytes()
    (found,) = read_summaries(tmp_path / "one/curves.json")
    assert (found.cell, found.num_seeds) == ("lstm", 2)
    assert found.val_acc == ([pytest.approx(0.85), pytest.approx(0.65)], [0.8, 0.6], [0.9, 0.7])


def test_a_loss_that_is_no_number_can_be_written_and_drawn_again(tmp_path):
    seeds = [[Record(1, 1, math.nan, 0.5, 0.5, 0.5), Record(2, 2, 0.25, 0.5, 0.5, 0.5)]]
    draw([Curves("gru", seeds, [])], tmp_path / "curves.svg")
    assert "NaN" not in (tmp_path / "curves.json").read_text()
    (found,) = read_summaries(tmp_path / "curves.json")
    np.testing.assert_array_equal(found.loss.mean, [math.nan, 0.25])
    make_figure([found])


def test_the_key_explains_bands_where_there_are_several_seeds(runs):
    (key,) = make_figure(summarise(read_curves(runs))).legends
    assert [text.get_text() for text in key.texts] == [
        "LSTM",
        "band: lowest to highest of 2 seeds",
        "validation, mean over seeds",
        "training, mean over seeds",
        "published LSTM, best: 0.8870",
    ]
    alone = make_figure(summarise(read_curves(runs[:1])))
    assert [text.get_text() for text in alone.legends[0].texts] == [
        "LSTM", "validation", "training", "published LSTM, best: 0.8870",
    ]  # fmt: skip
    assert not any(axes.collections for axes in alone.axes)


def test_no_text_of_the_committed_curves_lies_on_data_or_is_too_small():
    summaries = read_summaries(ROOT / "docs/learning_curves.json")
    assert [(each.cell, each.num_seeds) for each in summaries] == [("gru", 5), ("lstm", 5), ("simple_rnn", 5)]
    for each in summaries:  # of 5,000 reviews, and of five times as many
        np.testing.assert_allclose(np.array([each.val_acc.low, each.val_acc.high]) * 5_000 % 1 % 0.999999, 0, atol=1e-6)
        np.testing.assert_allclose(np.array(each.val_acc.mean) * 25_000 % 1 % 0.999999, 0, atol=1e-6)
    assert faults(make_figure(summaries)) == []


def test_a_run_without_an_epoch_is_named(runs):
    (runs[1] / "records.jsonl").unlink()
    with pytest.raises(ValueError, match="run1 has no finished epoch"):
        read_curves(runs)
