import math

import jax.numpy as jnp
import numpy as np
import pytest

from recurrent.training import Goal, RunDirectory, Timing
from recurrent.training.run.lines import append_line, read_lines, write_lines
from recurrent.training.run.records import Record, best

GOAL = Goal("acc", "highest")


def record(epoch, val_acc):
    return Record(epoch, 10 * epoch, {"loss": 0.1, "acc": 0.9}, {"loss": 1 / 3, "acc": val_acc})


def test_best_is_the_first_of_the_highest_and_never_nan():
    records = [record(1, 0.8), record(2, math.nan), record(3, 0.9), record(4, 0.9), record(5, 0.8)]
    assert best(records, GOAL).epoch == 3
    assert best(records, Goal("acc", "lowest")).epoch == 1
    assert best(records, Goal("rmse")) is None
    assert best([record(1, math.nan)], GOAL) is None
    assert best([], GOAL) is None


def test_a_goal_has_a_direction():
    with pytest.raises(ValueError, match="direction must be lowest or highest, not 'min'"):
        Goal("loss", "min")


def test_a_line_of_an_earlier_revision_is_a_record():
    fields = {"epoch": 1, "step": 5, "loss": 0.5, "acc": 0.75, "val_loss": 0.25, "val_acc": 1.0}
    read = Record.of_fields(fields)
    assert read == Record(1, 5, {"loss": 0.5, "acc": 0.75}, {"loss": 0.25, "acc": 1.0})
    assert list(read.fields().items()) == [*fields.items(), ("skipped", 0)]


def test_lines_come_back_bit_for_bit(tmp_path):
    path, lines = tmp_path / "records.jsonl", [record(1, 0.1 + 0.2), record(2, 2 / 3)]
    for line in lines:
        append_line(path, line)
    assert read_lines(path, Record) == lines
    write_lines(path, lines[:1])
    assert read_lines(path, Record) == lines[:1]


def test_a_torn_last_line_is_passed_over_and_any_other_damage_is_named(tmp_path):
    path = tmp_path / "records.jsonl"
    append_line(path, record(1, 0.5))
    whole = path.read_text()
    path.write_text(whole + whole[:20])
    assert read_lines(path, Record) == [record(1, 0.5)]
    path.write_text(whole[:20] + "\n" + whole)
    with pytest.raises(ValueError, match=r"records\.jsonl, line 1"):
        read_lines(path, Record)


@pytest.mark.parametrize(
    "value", [1, 0.25, np.float32(0.25), np.float64(0.25), np.int64(3), jnp.float32(0.25), jnp.bfloat16(0.25), math.inf]
)
def test_any_real_number_can_be_recorded_and_becomes_pythons(tmp_path, value):
    with RunDirectory(tmp_path) as run:
        run.record(record(1, value)._replace(step=np.int64(10)), Timing(1, np.int32(5), value, 0.5))
        (line,), (timing,) = run.records(), run.timings()
    assert (line.validation["acc"], timing.seconds, line.step, timing.steps) == (float(value), float(value), 10, 5)
    assert {type(each) for each in line.fields().values()} == {int, float}


NOT_NUMBERS = [None, "0.5", True, 1j, np.ones(2), jnp.ones(1), [0.5], {}, object(), np.datetime64("2026-01-01")]


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_could_not_be_read_back_is_refused_before_anything_is_written(tmp_path, value):
    with RunDirectory(tmp_path) as run:
        for line, timing in (
            (record(1, value), Timing(1, 5, 0.5, 0.5)),
            (record(1, 0.5), Timing(1, 5, value, 0.5)),
            (record(1, 0.5)._replace(epoch=1.0), Timing(1, 5, 0.5, 0.5)),
        ):
            with pytest.raises(ValueError, match=r"(validation\['acc'\]|seconds|epoch) (is|must be)"):
                run.record(line, timing)
        assert not list(tmp_path.glob("*.jsonl"))
