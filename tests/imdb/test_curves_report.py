import dataclasses
import json

import pytest

from experiments.imdb.curves_report import draw, read_curves, table
from experiments.imdb.recipes import Recipe
from recurrent.training import Record
from recurrent.training.records import write_lines


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


def test_the_same_runs_draw_the_same_picture(runs, tmp_path):
    for name in ("one", "two"):
        draw(read_curves(runs), tmp_path / name / "curves.svg")
    assert (tmp_path / "one/curves.svg").read_bytes() == (tmp_path / "two/curves.svg").read_bytes()


def test_a_run_without_an_epoch_is_named(runs):
    (runs[1] / "records.jsonl").unlink()
    with pytest.raises(ValueError, match="run1 has no finished epoch"):
        read_curves(runs)
