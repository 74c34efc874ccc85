"""Small random recipes are trained, abandoned, resumed, opened, asked and explained: each promise holds for all."""

import dataclasses
import itertools
import json
import random

import jax
import numpy as np
import pytest

from experiments.imdb.answers.explanation import explain, make_explainer
from experiments.imdb.answers.predict import make_predictor
from experiments.imdb.pairs import NumPairs
from experiments.imdb.runs.files import read_recipe
from experiments.imdb.runs.open import open_run
from experiments.imdb.runs.soak import compare_runs
from experiments.imdb.runs.start import environment, start_run
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import prepare, train
from recurrent.training import RunDirectory
from tests.golden import golden

CHOICES = {
    "bigrams": [0, 0, 50],
    "cell": ["simple_rnn", "lstm", "gru"],
    "layers": [1, 2],
    "bidirectional": [False, True],
    "residual": [False, True],
    "pooling": ["last", "mean", "max", "mean_max", "attention"],
    "word_dropout_rate": [0.0, 0.2],
    "embedding_dropout_rate": [0.0, 0.2],
    "recurrent_dropout_rate": [0.0, 0.2],
    "weight_dropout_rate": [0.0, 0.2],
    "head_dropout_rate": [0.0, 0.5],
    "naive_bayes": [0.0, 0.5],
    "leave_one_out": [False, True],
    "pools_inputs": [False, True],
    "pair_rate": [1.0, 0.1, 0.0],
    "pair_size": [0, 1],
    "adversarial": [0.0, 0.0, 0.1],
    "label_smoothing": [0.0, 0.1],
    "optimizer": ["rmsprop", "adam", "adamw", "sgd", "lion"],
    "ema_decay": [None, 0.9],
    "padding": ["keras", "masked"],
    "schedule": ["constant", "cosine"],
    "clip_norm": [None, 1.0],
    "like": ["keras", "torch", "flax", "haiku"],
}


def random_recipe(number):
    draw = random.Random(number)
    fields = {name: draw.choice(values) for name, values in CHOICES.items()}
    by_length = {"batching": "by_length"} if fields["padding"] == "masked" and draw.random() < 0.5 else {}
    fields["trigrams"] = 20 if fields["bigrams"] else 0
    fields["leave_one_out"] &= fields["naive_bayes"] > 0
    fields["pools_inputs"] &= fields["pooling"] != "last"
    if not fields["bigrams"]:
        fields |= {"pair_rate": 1.0, "pair_size": 0}
    small = dataclasses.asdict(golden.recipe(epochs=2)) | {"backend": "auto"}
    return Recipe(**small | fields | by_length)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return golden.data(tmp_path_factory.mktemp("reviews"), num_pairs=NumPairs(49, 20))


def train_in(path, recipe, examples, max_events=None):
    training = prepare(recipe, examples)
    with RunDirectory(path) as run:
        start_run(run, recipe, examples, environment(list(training.trainer.mesh.devices.flat), "auto"))
        resumed = run.resume(training.start)
        assert resumed.notes == []
        events = train(training, resumed.state, recipe, run, 3, lambda: False)
        list(itertools.islice(events, max_events))
    return training.start


@pytest.fixture(autouse=True)
def standard_promotion():
    """Optax's Adam and Lion raise a float to the power of an integer, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize("number", range(4))
def test_a_random_recipe_keeps_every_promise(examples, tmp_path, number):
    recipe = random_recipe(number)
    start = train_in(tmp_path / "whole", recipe, examples)
    train_in(tmp_path / "torn", recipe, examples, max_events=2 + number)
    train_in(tmp_path / "torn", recipe, examples)
    assert compare_runs(tmp_path / "whole", tmp_path / "torn", start) == []
    assert read_recipe(tmp_path / "whole") == recipe
    run = open_run(tmp_path / "whole", "latest")
    explainer = make_explainer(run)
    for text in ("bam fin gor luzz bam", "bam", "", "neither word is known"):
        (prediction,) = make_predictor(run, 1)([text])
        explanation = explain(explainer, text)
        np.testing.assert_allclose(explanation.probability, prediction.probability, rtol=1e-4)
        assert abs(explanation.gap) < 0.01
        assert len(explanation.words) == len(text.split())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params))
    assert json.loads((tmp_path / "whole" / "manifest.json").read_text())["identity"]["plan"]["batch_size"] == 8
