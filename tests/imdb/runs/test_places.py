import dataclasses
import json
import re
from pathlib import Path

import pytest

from experiments import folders
from experiments.imdb.runs.files import read_recipe
from experiments.imdb.runs.places import default_run_dir, find_data_dir, only_runs, refuse_no_run, run_name
from experiments.imdb.training.recipes import RECIPES, Recipe
from recurrent.training import Record
from recurrent.training.run.lines import write_lines

OTHERS = {
    "epochs": 3,
    "source": "archive",
    "vocabulary_size": 500,
    "sequence_length": 12,
    "embedding_size": 4,
    "hidden_size": 4,
    "batch_size": 16,
    "learning_rate": 3e-4,
    "decay": 0.99,
    "epsilon": 1e-8,
    "schedule": "cosine",
    "warmup_steps": 100,
    "clip_norm": 1.5,
    "patience": 3,
    "dtype": "bfloat16",
    "device": "cpu",
    "num_shards": 4,
    "padding": "masked",
    "segment_size": 25,
    "backend": "plain",
    "nonfinite": "skip",
}
ALONE = {**OTHERS}
OTHERS |= {
    "bigrams": 100,
    "trigrams": 100,
    "pair_rate": 0.1,
    "pair_size": 1,
    "naive_bayes": 0.5,
    "leave_one_out": True,
    "adversarial": 0.1,
    "validation_share": 0.1,
    "stream": True,
    "num_classes": 3,
    "layers": 2,
    "layer_cells": ("gru",),
    "layer_sizes": (5,),
    "bidirectional": True,
    "residual": True,
    "pooling": "max",
    "pools_inputs": True,
    "word_dropout_rate": 0.1,
    "embedding_dropout_rate": 0.1,
    "input_dropout_rate": 0.1,
    "layer_dropout_rate": 0.1,
    "recurrent_dropout_rate": 0.1,
    "weight_dropout_rate": 0.1,
    "zoneout_rate": 0.1,
    "head_dropout_rate": 0.1,
    "label_smoothing": 0.1,
    "class_weights": "balanced",
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 0.1,
    "ema_decay": 0.9,
    "swa_epochs": 2,
    "batching": "by_length",
    "like": "torch",
}
NEEDS: dict[str, dict[str, object]] = {
    "layer_dropout_rate": {"layers": 2},
    "momentum": {"optimizer": "sgd"},
    "trigrams": {"bigrams": 100},
    "pair_rate": {"bigrams": 100},
    "pair_size": {"bigrams": 100},
    "leave_one_out": {"naive_bayes": 0.5},
    "pools_inputs": {"pooling": "max"},
    "weight_decay": {"optimizer": "lion"},
    "batching": {"padding": "masked"},
}
FREE = {"epochs", "patience", "device", "nonfinite", "stream"}


@pytest.mark.parametrize("name, expected", [("lstm", "lstm"), ("gru", "gru"), ("simple-rnn", "simple-rnn")])
def test_recipes_keep_the_names_that_documents_give_them(name, expected):
    assert run_name(RECIPES[name]()) == f"imdb-{expected}-seed0"


def test_a_cell_is_named_whatever_the_recipe_it_was_put_into():
    assert run_name(Recipe(cell="gru", seed=7)) == "imdb-gru-seed7"
    assert run_name(Recipe(cell="layer_norm_lstm")) == "imdb-layer-norm-lstm-seed0"


def test_each_field_that_a_resume_may_not_change_has_a_folder_of_its_own():
    assert set(OTHERS) == {field.name for field in dataclasses.fields(Recipe)} - {"cell", "seed"}
    names = {field: run_name(Recipe(**{field: value}, **NEEDS.get(field, {}))) for field, value in OTHERS.items()}
    assert {field for field, name in names.items() if name == "imdb-lstm-seed0"} == FREE
    assert len(set(names.values())) == len(names) - len(FREE) + 1
    assert run_name(Recipe(schedule="cosine", epochs=3)) != run_name(Recipe(schedule="cosine"))


def test_a_name_is_one_folder_of_a_length_that_any_disk_takes():
    recipe = Recipe(**ALONE | {"source": "/my reviews/ä/aclImdb"})
    assert len(run_name(recipe)) < 100
    assert run_name(recipe) != run_name(dataclasses.replace(recipe, learning_rate=4e-4))
    assert run_name(Recipe(source="/my reviews/acl Imdb/")) == "imdb-lstm-source-acl-Imdb-seed0"


def test_runs_lie_in_the_checkout_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert default_run_dir(Recipe()) == folders.CHECKOUT / "runs" / "imdb-lstm-seed0"


def test_a_run_remembers_where_its_reviews_are(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    run.mkdir()
    assert find_data_dir(None, run) == folders.data_folder()
    (run / "manifest.json").write_text(json.dumps({"facts": {"data_dir": str(data)}}))
    assert find_data_dir(None, run) == folders.data_folder()  # it is gone
    data.mkdir()
    assert find_data_dir(None, tmp_path / "nowhere", run) == data
    assert find_data_dir(tmp_path / "other", run) == tmp_path / "other"
    for damaged in ("{", "[]", '{"facts": []}', '{"facts": {"data_dir": 7}}', "[" * 100_000):
        (run / "manifest.json").write_text(damaged)
        assert find_data_dir(None, run) == folders.data_folder()


@pytest.fixture
def folder(tmp_path):
    """Two runs, and what else a folder of runs may hold."""
    for name in ("one", "two", "fresh"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.json").write_text("{}")
    for name in ("one", "two"):
        write_lines(tmp_path / name / "records.jsonl", [Record(1, 1, {"loss": 0.5}, {"acc": 0.8})])
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text("{}")
    (tmp_path / "explanation.html").write_text("<html>")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run.lock").touch()
    return tmp_path


def test_what_is_no_run_is_passed_over_with_a_line(folder):
    said = []
    paths = sorted(folder.iterdir())
    assert only_runs(paths, said.append) == [folder / "one", folder / "two"]
    assert said == [
        f"skipped: {folder / 'begun'} is not a run",
        f"skipped: {folder / 'explanation.html'} is not a run",
        f"skipped: {folder / 'fresh'} has no finished epoch yet",
        f"skipped: {folder / 'report'} is not a run",
    ]


@pytest.mark.parametrize("inner", ["one", "settings/0003/seed1"], ids=["seeds", "sweep"])
def test_of_a_folder_of_runs_one_is_named(tmp_path, inner):
    (tmp_path / inner).mkdir(parents=True)
    (tmp_path / inner / "recipe.json").write_text("{}")
    named = f"is not a run.* It holds runs: give one of them, such as {re.escape(str(tmp_path / inner))}"
    for refuse in (refuse_no_run, read_recipe):
        with pytest.raises(FileNotFoundError, match=named):
            refuse(tmp_path)
    with pytest.raises(ValueError, match=named):
        only_runs([tmp_path], pytest.fail)


def test_a_name_that_leads_nowhere_is_a_mistake(folder):
    with pytest.raises(FileNotFoundError, match="twoo is not a run"):
        only_runs([folder / "one", folder / "twoo"], pytest.fail)
    with pytest.raises(FileNotFoundError, match=r"\* is not a run"):
        only_runs([Path("runs-of-nobody/*")], pytest.fail)
    with pytest.raises(ValueError, match=r"no run to report.*report is not a run"):
        only_runs([folder / "report"], pytest.fail)
    with pytest.raises(ValueError, match="no run to report"):
        only_runs([], pytest.fail)
