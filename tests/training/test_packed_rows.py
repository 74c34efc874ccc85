"""Sequences that share rows train alike in memory and when rows are filled while reading, and resume exactly."""

import grain
import pytest

from recurrent.packing import PackedIterator, Sequences
from recurrent.training import BatchIterator
from recurrent.training import chunk as chunks
from tests.training.packed import LENGTHS, PLAN, make_packed, read
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


@pytest.mark.parametrize("max_events", [2, 4, 7])
def test_packed_batches_of_an_iterator_resume_from_their_position(tmp_path, max_events):
    def drawing(num_devices=2):
        def read_one(number):
            steps, label = read([number])
            return Sequences(steps, label[0])

        data = grain.MapDataset.range(len(LENGTHS)).seed(3).shuffle().repeat().map(read_one).to_iter_dataset()
        packed = PackedIterator(iter(data), 8, 8, max_sequences=6, most_waiting=4)
        made = make_packed(num_devices)
        return made._replace(trainer=made.trainer._replace(examples=BatchIterator(packed, steps_per_epoch=5)))

    run_to_the_end(drawing(), tmp_path / "whole")
    run_to_the_end(drawing(1), tmp_path / "torn", max_events)
    run_to_the_end(drawing(), tmp_path / "torn")
    assert_same(outcome(make_packed(), tmp_path / "whole"), outcome(make_packed(), tmp_path / "torn"))
