"""Runs of two processes: the same bytes as one process, and what happens when one is stopped, killed or different."""

import random
import signal
import socket
import time

import pytest

from experiments.imdb.runs.doctor import diagnose
from recurrent.training.run.lock import RunLock
from tests.training.packed import make_packed
from tests.training.test_loop import assert_same, outcome
from tests.training.test_signals import listen

pytestmark = pytest.mark.slow


@pytest.mark.fault(13)
def test_two_processes_compute_the_bytes_of_one_and_a_run_changes_between_them(
    train_two, train_child, tmp_path, assert_equals_whole
):
    codes, outputs = train_two(tmp_path, "--epochs=3")
    assert codes == (0, 0), outputs
    assert train_child(tmp_path, "--epochs=5")[0] == 0
    # How many steps a dispatch takes is process 0's choice. Each process reads the examples of its own shards.
    codes, outputs = train_two(tmp_path, "--read", second=["--dispatch-seconds=0"])
    assert codes == (0, 0), outputs
    assert_equals_whole(tmp_path)


def test_two_processes_read_packed_rows_to_the_bytes_of_one(train_two, train_child, tmp_path):
    options = ("--packed", "--epochs=3", "--save-every=3")
    codes, outputs = train_two(tmp_path / "two", *options)
    assert codes == (0, 0), outputs
    code, output = train_child(tmp_path / "one", *options)[:2]  # compiled with the same flags
    assert code == 0, output
    made = make_packed()
    assert_same(outcome(made, tmp_path / "one"), outcome(made, tmp_path / "two"))


@pytest.mark.fault(6)
@pytest.mark.parametrize("where", ["training", "evaluation"])
def test_a_signal_to_one_process_stops_both_at_one_step(
    start_two, end_two, train_child, tmp_path, assert_equals_whole, where
):
    processes = start_two(tmp_path, "--save-every=100", second=[f"--slow={where}", "--until-signal"])
    listen(processes[1], where)
    processes[1].send_signal(signal.SIGTERM)
    codes, outputs = end_two(processes)
    assert codes == (143, 143), outputs
    # They saved, for which they compared their states.
    assert outputs[0].count("EpochEnd") == outputs[1].count("EpochEnd")
    assert train_child(tmp_path)[0] == 0
    assert_equals_whole(tmp_path)


@pytest.mark.fault(28)
def test_a_process_that_is_killed_ends_the_other_one_with_a_message(
    start_two, end_two, train_two, tmp_path, assert_equals_whole
):
    processes = start_two(tmp_path)
    listen(processes[1], "Progress")
    first, second = (f"process {process.pid} on {socket.gethostname()}" for process in processes)
    assert RunLock(tmp_path).holder() == f"{first}, which leads {second}"
    time.sleep(random.Random(0).uniform(0, 0.5))
    processes[1].kill()
    start = time.monotonic()
    codes, outputs = end_two(processes)
    assert codes == (1, -9)
    assert time.monotonic() - start < 30
    assert f"process 1 of 2 (process {processes[1].pid} on " in outputs[0]
    assert "is gone: no sign of life for 6 s. Start all processes again to resume." in outputs[0]
    assert RunLock(tmp_path).holder() is None
    assert diagnose(tmp_path).is_resumable
    codes, outputs = train_two(tmp_path)
    assert codes == (0, 0), outputs
    assert_equals_whole(tmp_path)


@pytest.mark.fault(28)
def test_process_0_that_is_killed_within_a_save_is_named_and_costs_that_save_alone(
    train_two, train_child, tmp_path, assert_equals_whole
):
    codes, outputs = train_two(tmp_path, first=["--crash-after=8", "--crash-at=manifests/latest"])
    assert codes == (-9, 1)
    assert "Process 0 of 2, at 127.0.0.1:" in outputs[1]
    assert "is gone. Start all processes again to resume." in outputs[1]
    code, _, errors = train_child(tmp_path)
    assert code == 0
    assert "is incomplete: it has no seal" in errors
    assert_equals_whole(tmp_path)


@pytest.mark.fault(28)
def test_a_process_that_hangs_is_lost_too(start_two, tmp_path):
    processes = start_two(tmp_path, "--epochs=2000")
    listen(processes[1], "Progress")
    processes[1].send_signal(signal.SIGSTOP)
    try:
        output = processes[0].communicate(timeout=60)[0]
    finally:
        processes[1].kill()
        processes[1].communicate()
    assert processes[0].returncode == 1
    assert "process 1 of 2" in output
    assert "is gone: no sign of life for 6 s" in output


@pytest.mark.fault(29)
def test_a_coordinator_that_is_not_there_is_named(child, tmp_path):
    here = ["--coordinator=127.0.0.1:9", "--num-processes=2", "--connect-seconds=2"]  # nothing listens there
    start, process = time.monotonic(), child(tmp_path, *here, "--process-id=1")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Process 1 of 2 found no process 0 at 127.0.0.1:9 within 2 s" in errors
    assert time.monotonic() - start < 20


@pytest.mark.fault(29)
def test_a_process_that_does_not_come_is_an_error_in_time(start_two, tmp_path):
    first, second = start_two(tmp_path, "--connect-seconds=3", second=["--epochs=none"])  # it ends at once
    output = first.communicate(timeout=30)[0]
    second.communicate()
    assert first.returncode == 1
    assert "Not all 2 processes came to 127.0.0.1:" in output
    assert "within 3 s" in output


@pytest.mark.fault(30)
@pytest.mark.fault(32)
def test_another_identity_is_refused_and_another_time_of_day_is_not(train_two, tmp_path, assert_equals_whole):
    codes, outputs = train_two(tmp_path, "--identity=a", second=["--identity=b"])
    assert codes == (1, 1)
    for output in outputs:
        assert "Process 1 differs from process 0 (own: a in process 0, b in it)." in output
    codes, outputs = train_two(tmp_path, second=["--clock-ahead=1e7"])
    assert codes == (0, 0), outputs
    assert_equals_whole(tmp_path)


@pytest.mark.fault(31)
def test_a_disk_that_is_full_at_process_0_ends_both(train_two, train_child, tmp_path, assert_equals_whole):
    assert train_two(tmp_path, "--epochs=2")[0] == (0, 0)
    codes, outputs = train_two(tmp_path, first=["--full-disk"])
    assert codes == (1, 1)
    for output in outputs:
        assert "could not be saved: No space left on device. Earlier checkpoints are intact." in output
    assert train_child(tmp_path)[0] == 0
    assert_equals_whole(tmp_path)
