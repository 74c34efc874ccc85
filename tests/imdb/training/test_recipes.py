import dataclasses

import pytest

from experiments.imdb.training.recipes import RECIPES, Recipe


def test_the_recipes_differ_in_nothing_but_the_cell():
    recipes = [make() for make in RECIPES.values()]
    assert {dataclasses.replace(recipe, cell="lstm") for recipe in recipes} == {Recipe()}


@pytest.mark.parametrize(
    "field",
    [
        {"epochs": 0},
        {"hidden_size": -1},
        {"vocabulary_size": 3},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"clip_norm": float("inf")},
        {"decay": 1.0},
        {"seed": -1},
        {"patience": 0},
        {"num_shards": 3},
    ],
)
def test_a_value_that_no_run_could_have_is_refused_by_name(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        Recipe(**field)
