import subprocess
import sys

import pytest

from recurrent.training import Record, RunDirectory, Timing

OPEN_AND_WAIT = """
import sys, pathlib
from recurrent.training import RunDirectory
with RunDirectory(pathlib.Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_who_is_there(tmp_path):
    command = [sys.executable, "-c", OPEN_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(RuntimeError, match=f"process {holder.pid} on"), RunDirectory(tmp_path):
            pass
        holder.kill()
    with RunDirectory(tmp_path):  # the lock of a process that was killed is gone with it
        pass


def test_a_folder_that_can_not_be_written_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), RunDirectory(tmp_path / "file" / "run"):
        pass


def test_a_resume_drops_what_was_written_after_its_checkpoint(experiment, tmp_path):
    with RunDirectory(tmp_path) as run:
        start = experiment().start
        for epoch in (1, 2):
            run.record(Record(epoch, epoch * 5, 0.5, 0.5, 0.5, 0.5), Timing(epoch, 5, 1.0, 0.1))
        assert int(run.resume(start).step) == 0
        assert run.records() == run.timings() == []


def test_a_checkpoint_that_can_not_be_read_never_means_starting_over(experiment, tmp_path):
    with RunDirectory(tmp_path) as run:
        run.latest.save(experiment().start)
    for file in (tmp_path / "checkpoints" / "latest" / "0").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with RunDirectory(tmp_path) as run, pytest.raises(ValueError, match="can't be restored"):
        run.resume(experiment().start)
