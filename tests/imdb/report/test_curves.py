"""Learning curves: the seeds of one recipe together, different recipes apart."""

import math
from pathlib import Path

import numpy as np
import pytest

from experiments.imdb.report.curves import learning_curves, read_curves, summarise, write_curves
from experiments.imdb.report.draw import make_figure, save_picture
from experiments.imdb.report.runs import group_labels
from experiments.imdb.training.recipes import Recipe
from recurrent.training import Record
from tests.figures.geometry import faults

ROOT = Path(__file__).parents[3]


def records(accuracies, loss=0.5):
    return [
        Record(i, i, {"loss": loss, "acc": 0.8}, {"loss": 0.5, "acc": each}).fields()
        for i, each in enumerate(accuracies, 1)
    ]


def figures_of(**groups):
    """Figures of a report with these recipes: label -> (cell, accuracies of each seed)."""
    runs, found = {}, {}
    for label, (cell, seeds) in groups.items():
        names = [f"{label}{seed}" for seed in range(len(seeds))]
        runs |= {name: {"records": records(each)} for name, each in zip(names, seeds, strict=True)}
        found[label] = {"cell": cell, "runs": names}
    return {"groups": found, "runs": runs}


TWO_SEEDS = figures_of(LSTM=("lstm", [(0.8, 0.7), (0.9, 0.6, 0.5)]))


def test_curves_hold_mean_lowest_and_highest_over_the_epochs_that_every_seed_has():
    (found,) = summarise(TWO_SEEDS)
    assert (found.label, found.cell, found.num_seeds) == ("LSTM", "lstm", 2)
    assert found.val_acc == ([pytest.approx(0.85), pytest.approx(0.65)], [0.8, 0.6], [0.9, 0.7])


def test_recipes_of_one_cell_are_never_mixed():
    """Runs with `keras` and with `masked` padding have curves, looks and rows of their own."""
    recipes = [Recipe(), Recipe(seed=1), Recipe(padding="masked"), Recipe(padding="masked", seed=1)]
    seeds: dict[str, list[tuple[float]]] = {}
    for label, accuracy in zip(group_labels(recipes), (0.8, 0.82, 0.9, 0.92), strict=True):
        seeds.setdefault(label, []).append((accuracy,))
    found = summarise(figures_of(**{label: ("lstm", each) for label, each in seeds.items()}))
    assert [each.label for each in found] == ["LSTM, padding keras", "LSTM, padding masked"]
    assert [each.val_acc.mean for each in found] == [[pytest.approx(0.81)], [pytest.approx(0.91)]]
    one, other = learning_curves(found).charts[0].series
    assert one.look.marker != other.look.marker
    assert one.look.colour != other.look.colour


def test_curves_come_back_from_their_file_and_draw_the_same_picture(tmp_path):
    curves = summarise(TWO_SEEDS)
    write_curves(curves, tmp_path / "curves.json")
    assert read_curves(tmp_path / "curves.json") == curves
    save_picture(learning_curves(curves), tmp_path / "one.svg")
    save_picture(learning_curves(read_curves(tmp_path / "curves.json")), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_loss_that_is_no_number_can_be_written_and_drawn_again(tmp_path):
    runs = {"a": {"records": records([0.5], math.nan) + records([0.5, 0.5], 0.25)[1:]}}
    write_curves(summarise({"groups": {"GRU": {"cell": "gru", "runs": ["a"]}}, "runs": runs}), tmp_path / "curves.json")
    assert "NaN" not in (tmp_path / "curves.json").read_text()
    (found,) = read_curves(tmp_path / "curves.json")
    np.testing.assert_array_equal(found.loss.mean, [math.nan, 0.25])
    make_figure(learning_curves([found]))


def test_the_key_explains_bands_where_there_are_several_seeds():
    (key,) = make_figure(learning_curves(summarise(TWO_SEEDS))).legends
    assert [text.get_text() for text in key.texts] == [
        "LSTM",
        "band: lowest to highest of 2 seeds",
        "large mark: best epoch",
        "published LSTM, best: 0.8870",
        "validation, mean over seeds",
        "training, mean over seeds",
    ]
    alone = make_figure(learning_curves(summarise(figures_of(LSTM=("lstm", [(0.8, 0.7)])))))
    assert [text.get_text() for text in alone.legends[0].texts] == [
        "LSTM", "large mark: best epoch", "published LSTM, best: 0.8870", "validation", "training",
    ]  # fmt: skip
    assert not any(axes.collections for axes in alone.axes)


def test_a_poor_first_epoch_does_not_flatten_the_rest():
    good, poor = (learning_curves(summarise(figures_of(LSTM=("lstm", [seed])))) for seed in ((0.5, 0.88), (0.5, 0.6)))
    assert make_figure(good).axes[0].get_ylim()[0] == 0.7
    assert make_figure(poor).axes[0].get_ylim()[0] < 0.5


def test_no_text_of_the_committed_curves_lies_on_data_or_is_too_small():
    curves = read_curves(ROOT / "docs/learning_curves.json")
    assert [(each.label, each.num_seeds) for each in curves] == [("LSTM", 5), ("GRU", 5), ("SimpleRNN", 5)]
    for each in curves:  # of 5,000 reviews, and of five times as many
        np.testing.assert_allclose(np.array([each.val_acc.low, each.val_acc.high]) * 5_000 % 1 % 0.999999, 0, atol=1e-6)
        np.testing.assert_allclose(np.array(each.val_acc.mean) * 25_000 % 1 % 0.999999, 0, atol=1e-6)
    assert faults(make_figure(learning_curves(curves))) == []
