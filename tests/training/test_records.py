import math

import pytest

from recurrent.training.records import Record, append_line, best, read_lines, write_lines


def record(epoch, val_acc):
    return Record(epoch, step=10 * epoch, loss=0.1, acc=0.9, val_loss=1 / 3, val_acc=val_acc)


def test_best_is_the_first_of_the_highest_and_never_nan():
    assert best([record(1, 0.8), record(2, math.nan), record(3, 0.9), record(4, 0.9)]).epoch == 3
    assert best([record(1, math.nan)]) is None
    assert best([]) is None


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
