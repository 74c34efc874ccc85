"""What `export` writes, `import` reads to the same weights, bit for bit."""

import json

import jax
import numpy as np
import pytest

pytest.importorskip("h5py")
pytest.importorskip("safetensors")

from experiments.imdb.importing.read import read_imported, recipe_of
from experiments.imdb.importing.tensors import fit
from experiments.imdb.vocabulary import load
from tests.imdb.export.runs import make_run, write

RUNS = {
    "published": {},
    "stacked": {"cell": "gru", "layer_cells": ("gru", "lstm"), "layer_sizes": (3, 4), "layers": 2, "padding": "masked"},
    "both directions": {"cell": "gru_reset_before", "bidirectional": True, "padding": "masked"},
    "simple rnn": {"cell": "simple_rnn", "layers": 2},
}
BY_SAFETENSORS = {
    "everything": {
        "bigrams": 7,
        "trigrams": 4,
        "pools_inputs": True,
        "pooling": "attention",
        "bidirectional": True,
        "layers": 2,
        "residual": True,
    },
    "layer norm": {"cell": "layer_norm_lstm", "pooling": "mean_max", "ema_decay": 0.9, "head_dropout_rate": 0.5},
}


@pytest.mark.parametrize("name", RUNS | BY_SAFETENSORS)
def test_a_folder_of_safetensors_comes_back(name, tmp_path):
    run = make_run(**(RUNS | BY_SAFETENSORS)[name])
    write(run, "safetensors", tmp_path)
    imported = read_imported(tmp_path)
    assert recipe_of(imported, {}) == run.recipe
    assert (imported.classes, imported.words) == (run.classes, load(tmp_path / "vocabulary.json").ranks)
    assert imported.pairs == run.vocabulary.pairs
    assert (len(imported.pairs) > 0) == bool(run.recipe.bigrams)
    jax.tree.map(np.testing.assert_array_equal, fit(run.recipe, imported.tensors), run.params)


def test_three_classes_come_back(tmp_path):
    run = make_run(classes=("a", "b", "c"))
    write(run, "safetensors", tmp_path)
    imported = read_imported(tmp_path)
    assert imported.classes == ("a", "b", "c")
    jax.tree.map(np.testing.assert_array_equal, fit(run.recipe, imported.tensors), run.params)


@pytest.mark.parametrize("name", RUNS)
def test_a_model_of_keras_comes_back(name, tmp_path, relaxed):
    pytest.importorskip("keras")
    run = make_run(**RUNS[name])
    with relaxed():
        write(run, "keras", tmp_path)
    imported = read_imported(tmp_path / "model.keras")
    recipe = recipe_of(imported, {"sequence_length": run.recipe.sequence_length})
    assert recipe == run.recipe
    jax.tree.map(np.testing.assert_array_equal, fit(recipe, imported.tensors), run.params)


def test_a_folder_without_its_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"format": "recurrent-imdb"}))
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        read_imported(tmp_path)
