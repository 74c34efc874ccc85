"""Sequences that share rows train alike in memory and when rows are filled while reading, and resume exactly."""

import pytest

from recurrent.training import chunk as chunks
from tests.training.packed import LENGTHS, PLAN, make_packed
from tests.training.test_loop import assert_same, outcome, run_to_the_end


@pytest.mark.parametrize("num_devices", [1, 2])
def test_rows_that_are_filled_while_reading_train_as_those_in_memory(tmp_path, num_devices, monkeypatch):
    monkeypatch.setattr(chunks, "_MAX_CHUNK", 3)
    assert len(PLAN) % 8, "the last batch is short"
    run_to_the_end(make_packed(is_in_memory=True), tmp_path / "memory")
    run_to_the_end(make_packed(num_devices), tmp_path / "read")
    run_to_the_end(make_packed(num_devices), tmp_path / "torn", max_events=3)
    run_to_the_end(make_packed(3 - num_devices), tmp_path / "torn")
    expected = outcome(make_packed(), tmp_path / "memory")
    assert float(expected[2].sums.weight) == len(LENGTHS)  # each sequence once an epoch
    for found in ("read", "torn"):
        assert_same(expected, outcome(make_packed(), tmp_path / found))
