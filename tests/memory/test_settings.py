import re

import pytest

from experiments.memory.__main__ import parse
from experiments.memory.settings import DEFAULTS, TASK_NAMES, Settings
from experiments.memory.tasks import TASKS


def test_every_task_has_settings():
    assert tuple(DEFAULTS) == TASK_NAMES == tuple(TASKS)
    assert {name: make().task for name, make in DEFAULTS.items()} == {name: name for name in TASK_NAMES}


@pytest.mark.parametrize("make", DEFAULTS.values(), ids=lambda make: make.__name__)
def test_settings_are_what_the_command_in_their_docstring_gives(make):
    (command,) = re.findall(r"`scripts/memory *(.*?)`", make.__doc__)
    assert parse(command.split()).settings == make()


def test_names_are_written_as_they_are_known_and_nothing_stands_twice():
    settings = Settings(task="Adding", cells=("SimpleRNN", "gru", "simple-rnn"), lengths=(9, 3, 9))
    assert (settings.task, settings.cells, settings.lengths) == ("adding", ("simple_rnn", "gru"), (3, 9))


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
        Settings(**field)
