import pytest

from experiments.speed.suites import SUITES
from experiments.speed.task import Task


def test_imdb_compares_each_cell_at_review_lengths_and_at_full_length():
    tasks = SUITES["imdb"].tasks(("lstm", "gru"))
    assert [(task.cell, task.lengths) for task in tasks] == [
        ("lstm", "reviews"), ("lstm", "full"), ("gru", "reviews"), ("gru", "full"),
    ]  # fmt: skip
    assert {(task.batch, task.time, task.width) for task in tasks} == {(128, 500, 32)}


@pytest.mark.parametrize("name, field, first, last", [("width", "width", 32, 1024), ("batch", "batch", 1, 512),
                                                      ("length", "time", 100, 16_000)])  # fmt: skip
def test_a_grid_varies_one_size(name, field, first, last):
    suite = SUITES[name]
    tasks = suite.tasks(("gru",))
    assert [getattr(task, field) for task in tasks] == list(suite.values)
    assert (suite.values[0], suite.values[-1]) == (first, last)
    assert not suite.is_strict
    assert len({(task.cell, task.lengths, task.padding) for task in tasks}) == 1


def test_changes_are_to_all_tasks_and_values_replace_the_suites_own():
    tasks = SUITES["width"].tasks(("lstm",), (3, 5), batch=2, padding="masked")
    base = {"cell": "lstm", "batch": 2, "time": 200, "steps": 1, "lengths": "full", "padding": "masked"}
    assert tasks == [Task(width=3, **base), Task(width=5, **base)]


def test_what_varies_can_be_held():
    assert [task.lengths for task in SUITES["imdb"].tasks(("lstm",), lengths="full")] == ["full"]


def test_lengths_take_no_values():
    with pytest.raises(ValueError, match=r"\[3\] are not values for lengths"):
        SUITES["imdb"].tasks(("lstm",), (3,))


def test_a_users_loop_is_compared_in_two_sizes_on_jax_as_it_comes():
    suite = SUITES["default"]
    tasks = suite.tasks(("lstm",))
    assert [(task.width, task.batch, task.time) for task in tasks] == [(32, 128, 500), (256, 64, 200)]
    assert {task.start for task in tasks} == {"default"}
    assert suite.contestants == ("own_loop", "linen", "pytorch")
    assert [(task.width, task.batch, task.time) for task in suite.tasks(("gru",), (32, 8), batch=2)] == [
        (32, 2, 500), (8, 2, 500),
    ]  # fmt: skip


def test_drop_ins_are_compared_with_what_they_replace_on_jax_as_it_comes():
    suite = SUITES["drop-in"]
    assert [(task.lengths, task.start) for task in suite.tasks(("lstm",))] == [
        ("reviews", "default"),
        ("full", "default"),
    ]
    assert suite.contestants == ("keras_drop_in", "keras_jax", "linen_drop_in", "linen")


def test_other_suites_show_every_backend_of_ours():
    for name, suite in SUITES.items():
        is_as_it_comes = name in ("default", "drop-in")
        assert ({"ours", "native", "fused", "plain"} <= set(suite.contestants)) == (not is_as_it_comes)
        assert {task.start for task in suite.tasks(("lstm",))} == {"default" if is_as_it_comes else "tuned"}
