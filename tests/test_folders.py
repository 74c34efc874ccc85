"""Where data and results lie: in the checkout from any folder, in the user's own folders without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import folders
from tests.unprivileged import UNPRIVILEGED, needs_permissions

ROOT = Path(__file__).parents[1]


def test_a_checkout_keeps_data_and_runs_whatever_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert (folders.data_folder(), folders.runs_folder()) == (ROOT / "data", ROOT / "runs")
    monkeypatch.chdir(ROOT)
    assert (folders.data_folder(), folders.runs_folder()) == (Path("data"), Path("runs"))
    monkeypatch.chdir(ROOT / "docs")
    assert folders.runs_folder() == ROOT / "runs"


def test_without_a_checkout_data_lie_in_the_cache_and_runs_where_one_is(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "CHECKOUT", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert (folders.data_folder(), folders.runs_folder()) == (tmp_path / "recurrent" / "data", Path("runs"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folders.data_folder() == tmp_path / ".cache" / "recurrent" / "data"


def test_outputs_that_can_be_written_leave_no_trace_before_the_work(tmp_path):
    folders.check_output_file(tmp_path / "new" / "page.html")
    folders.check_output_folder(tmp_path / "other")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "new", tmp_path / "other"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("folder", "is a folder"), ("file/page.html", "--output")],
)
def test_outputs_that_can_not_be_written_are_told_before_the_work(tmp_path, name, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises((ValueError, OSError), match=words):
        folders.check_output_file(tmp_path / name)


@needs_permissions
def test_a_folder_without_permission_is_told_before_the_work(tmp_path):
    tmp_path.chmod(0o555)
    program = (
        "import sys; from pathlib import Path; from experiments.folders import *; check_output_file(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-c", program, tmp_path / "page.html"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    tmp_path.chmod(0o755)
    assert done.returncode == 1
    assert f"Permission denied: '--output {tmp_path / 'page.html'}'" in done.stderr
