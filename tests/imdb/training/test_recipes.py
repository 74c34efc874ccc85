import dataclasses

import numpy as np
import pytest

from experiments.imdb.training.model import init_params
from experiments.imdb.training.recipes import RECIPES, Recipe


def test_the_published_recipes_differ_in_nothing_but_the_cell():
    recipes = [RECIPES[name]() for name in ("lstm", "gru", "simple-rnn")]
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
        {"seed": 1 << 64},
        {"warmup_steps": -1},
        {"patience": 0},
        {"num_shards": 3},
    ],
)
def test_a_value_that_no_run_could_have_is_refused_by_name(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        Recipe(**field)


def test_all_64_bits_of_a_seed_count():
    seeds = (0, 1 << 32, (1 << 64) - 1)
    weights = [init_params(Recipe(seed=seed, vocabulary_size=4, hidden_size=2, embedding_size=2)) for seed in seeds]
    drawn = {np.asarray(each["embedding"]["embedding"]).tobytes() for each in weights}
    assert len(drawn) == len(seeds)
