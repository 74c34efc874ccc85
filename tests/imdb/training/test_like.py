"""Recipes with the defaults of another library."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.imdb.__main__ import _parse
from experiments.imdb.runs.files import identity
from experiments.imdb.runs.places import run_name
from experiments.imdb.training.model import init_params
from experiments.imdb.training.optimizer import make_optimizer
from experiments.imdb.training.recipe_checks import RMSPROP_OF
from experiments.imdb.training.recipes import RECIPES, Recipe, like
from experiments.imdb.vocabulary import Vocabulary
from recurrent.cells.profiles import PROFILES
from recurrent.training import rmsprop

SMALL = Recipe(vocabulary_size=500, embedding_size=16, hidden_size=16, pooling="attention", bigrams=300)


def test_the_numbers_are_those_of_the_profiles():
    assert {name: (each.rmsprop.decay, each.rmsprop.epsilon) for name, each in PROFILES.items()} == dict(RMSPROP_OF)
    assert (Recipe().decay, Recipe().epsilon) == RMSPROP_OF["keras"]


@pytest.mark.parametrize("name", PROFILES)
def test_the_initial_weights_are_those_of_the_library(name):
    params = init_params(like(SMALL, name))
    scales = {"keras": 0.05 / 3**0.5, "torch": 1.0, "flax": 0.25, "haiku": 0.8796}
    for table in ("embedding", "pairs"):
        assert np.std(params[table]["embedding"]) == pytest.approx(scales[name], rel=0.03)
    assert np.any(params["head"]["bias"]) == np.any(params["attention"]["bias"]) == (name == "torch")
    bounds = {"keras": (6 / 17) ** 0.5, "torch": 0.25, "flax": 2.28 / 4, "haiku": 2 / 4}
    for layer in ("head", "attention"):
        assert np.abs(params[layer]["kernel"]).max() <= bounds[name]
    forget = np.unique(params["recurrent"]["bias"][16:32])
    assert len(forget) == 16 if name == "torch" else forget.tolist() == [0.0 if name == "flax" else 1.0]


@pytest.mark.parametrize("name", PROFILES)
def test_rmsprop_is_the_librarys(name, relaxed):
    with relaxed():
        params, gradient = jnp.zeros(3), jnp.array([1e-9, 1e-4, -1.0])
        found, expected = (
            optimizer.update(gradient, optimizer.init(params), params)[0]
            for optimizer in (make_optimizer(like(Recipe(), name), 10), rmsprop(PROFILES[name], 1e-3))
        )
    np.testing.assert_array_equal(found, expected)


def test_the_default_is_keras_and_stays_out_of_a_runs_identity():
    def fields(recipe):
        return identity(recipe, "0", Vocabulary(("a",), 5))["recipe"]

    assert "like" not in fields(Recipe())
    assert fields(like(Recipe(), "torch"))["like"] == "torch"
    assert run_name(like(Recipe(), "torch")) == "imdb-lstm-decay-0.99-epsilon-1e-08-like-torch-seed0"


def test_the_command_takes_the_librarys_numbers_as_defaults():
    recipe = _parse(["train", "--like", "torch", "--recipe", "gru"]).settings
    assert recipe == like(RECIPES["gru"](), "torch")
    assert (recipe.decay, recipe.epsilon, recipe.learning_rate) == (0.99, 1e-8, 1e-3)
    assert _parse(["train", "--like=torch", "--decay=0.9"]).settings.decay == 0.9
    assert _parse(["train"]).settings == Recipe()
    assert _parse(["train", "--like", "torch", "--optimizer", "sgd"]).settings.like == "torch"
    with pytest.raises(ValueError, match=r"no library 'troch'\. Did you mean 'torch'"):
        _parse(["train", "--like", "troch"])


def test_a_decay_or_epsilon_without_effect_is_still_refused():
    for fields in ({"decay": 0.8}, {"epsilon": 1e-3}):
        with pytest.raises(ValueError, match="alone"):
            Recipe(like="torch", optimizer="lion", **fields)


def test_the_pooled_recipe_keeps_the_decay_that_adamw_does_not_have():
    pooled = RECIPES["pooled"]()
    assert like(pooled, "flax") == dataclasses.replace(pooled, like="flax", epsilon=1e-8)


def test_all_recipes_draw_weights_of_each_library():
    for name in PROFILES:
        for make in RECIPES.values():
            few = {field: min(getattr(make(), field), 9) for field in ("bigrams", "trigrams")}
            recipe = dataclasses.replace(make(), like=name, vocabulary_size=20, **few)
            shapes = jax.eval_shape(lambda recipe=recipe: init_params(recipe))
            assert jax.tree.structure(shapes) == jax.tree.structure(
                jax.eval_shape(lambda recipe=recipe: init_params(dataclasses.replace(recipe, like="keras")))
            )
