"""The same seed gives the same bytes: in fresh processes, on any number of devices, however steps are dispatched."""

import pytest

from experiments.imdb.runs.soak import compare_runs

WAYS = {
    "again": [],
    "one device": ["--devices=1"],
    "four devices asked for, two used": ["--devices=4"],
    "a step at a time": ["--dispatch-seconds=0"],
    "an epoch at a time": ["--dispatch-seconds=100", "--save-every=1000"],
    "few checkpoints": ["--save-every=7"],
}


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS.keys())
def test_a_fresh_process_computes_the_same_bytes(train_child, tmp_path, assert_equals_whole, ways):
    code, _, errors = train_child(tmp_path, *ways)
    assert code == 0, errors
    assert_equals_whole(tmp_path)


@pytest.mark.fault(13)
def test_a_run_that_changes_its_number_of_devices_ends_with_the_same_bytes(train_child, tmp_path, assert_equals_whole):
    for devices, epochs in ((2, 3), (1, 5), (2, 8)):
        code, _, errors = train_child(tmp_path, f"--devices={devices}", f"--epochs={epochs}", "--save-every=3")
        assert code == 0, errors
    assert_equals_whole(tmp_path)


def test_the_comparison_finds_a_difference(train_child, whole_run, tmp_path, experiment):
    assert train_child(tmp_path, "--epochs=7")[0] == 0
    assert "records.jsonl" in compare_runs(whole_run, tmp_path, experiment().start)
