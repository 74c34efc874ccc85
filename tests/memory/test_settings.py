import re

import pytest

from experiments.memory import settings as recipes
from experiments.memory.__main__ import parse
from experiments.memory.settings import RECIPES, TASK_NAMES, Recipe
from experiments.memory.tasks import TASKS


def test_every_task_has_a_recipe():
    assert tuple(RECIPES) == TASK_NAMES == tuple(TASKS)
    assert {name: make().task for name, make in RECIPES.items()} == {name: name for name in TASK_NAMES}


@pytest.mark.parametrize(
    "make", [*RECIPES.values(), recipes.adding_200, recipes.adding_400], ids=lambda make: make.__name__
)
def test_a_recipe_is_what_the_command_in_its_docstring_gives(make):
    (command,) = re.findall(r"`scripts/memory *(.*?)`", make.__doc__)
    assert parse(command.split()).settings == make()


def test_names_are_written_as_they_are_known_and_nothing_stands_twice():
    recipe = Recipe(task="Adding", cells=("SimpleRNN", "gru", "simple-rnn"), lengths=(9, 3, 9))
    assert (recipe.task, recipe.cells, recipe.lengths) == ("adding", ("simple_rnn", "gru"), (3, 9))


@pytest.mark.parametrize(
    "field",
    [
        {"seeds": 0},
        {"steps": -1},
        {"width": 0},
        {"batch": -3},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"clip_norm": float("inf")},
        {"lengths": ()},
        {"cells": ()},
    ],
)
def test_a_value_that_no_measurement_could_have_is_refused_by_name(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        Recipe(**field)
