"""Disks that are full, read-only or not there, as real file systems in memory; skipped where none can be mounted."""

import os
import subprocess

import pytest

from recurrent.training import Record, RunDirectory
from recurrent.training.atomic import replacing, write_text
from recurrent.training.run.lines import append_line, read_lines

KILOBYTE = 1 << 10


@pytest.fixture
def mount(tmp_path):
    """Mounts a file system of some size; returns its folder."""
    mounted = []

    def make(size, options="rw"):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},{options}", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this process may not mount a file system")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder, leave):
    """Writes a file that leaves so many bytes on the disk, in whole blocks."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "filler").write_bytes(bytes(max(0, free - leave)))


@pytest.mark.fault(9)
@pytest.mark.parametrize("kilobytes", [8, 60, 130])
def test_a_disk_that_fills_up_costs_nothing_that_was_saved(train_child, mount, assert_equals_whole, kilobytes):
    disk = mount("8m")
    path = disk / "run"
    assert train_child(path, "--epochs=1", "--save-every=2")[0] == 0
    fill(disk, kilobytes * KILOBYTE)
    code, _, errors = train_child(path, "--save-every=2")
    assert code == 1
    assert errors.startswith(f"OSError: {path}")
    assert "No space left on device" in errors
    assert len(errors.splitlines()) == 1
    assert_whole(path)
    (disk / "filler").unlink()
    code, _, errors = train_child(path)
    assert code == 0, errors
    assert_equals_whole(path)


def assert_whole(path):
    """Says that no litter lies there, and that every checkpoint and every record is whole."""
    assert [file for file in path.rglob("*") if "tmp" in file.name] == []
    with RunDirectory(path) as run:
        assert run.latest.steps()
        for checkpoints in (run.latest, run.best):
            for step in checkpoints.steps():
                checkpoints.check(step)
        run.records()


@pytest.mark.fault(9)
@pytest.mark.parametrize("kilobytes", [12, 24, 36, 48])
def test_a_disk_that_fills_up_within_a_save_costs_nothing_either(train_child, mount, kilobytes):
    """Without a look at the room beforehand, as where others fill the disk; Orbax' threads print what they like."""
    disk = mount("8m")
    path = disk / "run"
    assert train_child(path, "--epochs=1", "--save-every=2")[0] == 0
    fill(disk, kilobytes * KILOBYTE)
    code, _, errors = train_child(path, "--save-every=2", "--no-look-at-the-room")
    assert code == 1
    assert f"OSError: {path}" in errors
    assert "No space left on device. Earlier checkpoints are intact." in errors
    assert_whole(path)


@pytest.mark.fault(9)
def test_a_record_that_finds_no_room_leaves_nothing_of_itself(mount, tmp_path):
    disk = mount("64k")
    line = Record(1, 5, {"loss": 1 / 3, "acc": 1 / 3}, {"loss": 1 / 3, "acc": 1 / 3})
    path = disk / "records.jsonl"
    append_line(path, line)
    (disk / "filler").write_bytes(bytes(40 * KILOBYTE))

    def write_on():
        while True:
            append_line(path, line)

    with pytest.raises(OSError, match=r"could not be written: .*No space left"):
        write_on()
    assert all(each == line for each in read_lines(path, Record))
    assert path.read_text().endswith("\n")


@pytest.mark.fault(9)
def test_a_disk_that_is_full_from_the_start_is_told_before_anything_compiles(train_child, mount):
    disk = mount("1m")
    fill(disk, 0)
    code, output, errors = train_child(disk / "run")
    assert (code, output) == (1, "")
    assert "No space left" in errors
    assert str(disk / "run") in errors
    assert "Traceback" not in errors


@pytest.mark.fault(10)
def test_a_read_only_disk_is_told_before_anything_compiles(train_child, mount):
    disk = mount("1m", "ro")
    for path in (disk, disk / "run"):
        code, output, errors = train_child(path)
        assert (code, output) == (1, "")
        assert "Read-only file system" in errors
        assert str(path) in errors


@pytest.mark.fault(10)
def test_a_missing_folder_is_made_and_a_relative_one_is_taken_from_here(
    train_child, child_environment, tmp_path, assert_equals_whole
):
    code, _, errors = train_child("not/yet/there", cwd=tmp_path)
    assert code == 0, errors
    assert_equals_whole(tmp_path / "not" / "yet" / "there")


@pytest.mark.fault(10)
def test_a_file_in_the_place_of_the_folder_is_told(train_child, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        code, output, errors = train_child(path)
        assert (code, output) == (1, "")
        assert str(path) in errors


def test_a_file_that_does_not_fit_is_named_as_people_know_it(mount):
    disk = mount("64k")
    with pytest.raises(OSError, match="No space left on device") as full:
        write_text(disk / "recipe.json", "x" * 200_000)
    assert full.value.filename == str(disk / "recipe.json")
    assert list(disk.iterdir()) == []
    with pytest.raises(OSError, match="Read-only") as read_only:
        write_text(mount("64k", "ro") / "recipe.json", "x")
    assert read_only.value.filename.endswith("/recipe.json")
    with pytest.raises(TimeoutError) as other, replacing(disk / "x"):
        raise TimeoutError("only 3 bytes came")
    assert other.value.filename is None
