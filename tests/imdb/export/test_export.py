"""The command writes a folder completely or not at all, and leaves the run as it is."""

import errno
import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.imdb.export import write as exporting
from experiments.imdb.export.write import export
from experiments.imdb.runs.open import open_run
from tests import forked
from tests.imdb.export.runs import TEXTS, load

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "run"


@pytest.fixture
def run_dir(tmp_path):
    return shutil.copytree(GOLDEN, tmp_path / "my run")


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def imdb(*arguments, environment, program=("-m", "experiments.imdb")):
    line = [sys.executable, *program, *map(str, arguments)]
    return forked.run(line, cwd=ROOT, env={**environment, "COLUMNS": "80"})


def test_the_command_writes_what_the_run_answers(run_dir, tmp_path, child_environment, relaxed):
    before, output = digest(run_dir), tmp_path / "new" / "folder"
    done = imdb("export", run_dir, "--output", output, environment=child_environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert digest(run_dir) == before
    names = ["README.md", "config.json", "model.safetensors", "vocabulary.json"]
    assert sorted(path.name for path in output.iterdir()) == names
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["written", str(output / name)] for name in names
    ]
    assert (output / "vocabulary.json").read_bytes() == (run_dir / "vocabulary.json").read_bytes()
    with relaxed():
        expected = open_run(run_dir).predict(TEXTS)
        np.testing.assert_allclose(load(output)["probability"](TEXTS), expected, rtol=0, atol=1e-5)


def test_the_config_holds_the_recipe_and_no_path_of_this_machine(run_dir, tmp_path):
    recipe = json.loads((run_dir / "recipe.json").read_text())
    export(run_dir, "safetensors", tmp_path / "out", "latest")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert recipe.items() <= config["recipe"].items()
    assert (config["format"], config["format_version"]) == ("recurrent-imdb", 1)
    assert (config["classes"], config["id2label"]) == (["negative", "positive"], {"0": "negative", "1": "positive"})
    assert (config["run"]["name"], config["run"]["checkpoint"], config["run"]["step"]) == ("my run", "latest", 8)
    assert config["tokens"] == {"padding": 0, "start": 1, "unknown": 2, "first_word": 4}
    for path in (tmp_path / "out").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: (path.mkdir(), (path / "kept").touch()), "holds kept already: name a new or an empty folder"),
        (lambda path: path.write_text("kept"), "is a file: name a new or an empty folder"),
        (lambda path: path.symlink_to("nowhere"), "is a file: name a new or an empty folder"),
    ],
)
def test_a_path_that_holds_something_is_refused_and_kept(run_dir, tmp_path, make, words):
    output = tmp_path / "out"
    make(output)
    before = digest(tmp_path)
    with pytest.raises(ValueError, match=words):
        export(run_dir, "onnx", output)
    assert digest(tmp_path) == before


def test_a_folder_within_the_run_is_refused(run_dir):
    before = digest(run_dir)
    for output in (run_dir, run_dir / "export", run_dir / ".." / run_dir.name / "export"):
        with pytest.raises(ValueError, match="lies in the run"):
            export(run_dir, "safetensors", output)
    assert digest(run_dir) == before


def test_an_empty_folder_is_taken(run_dir, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    files = export(run_dir, "safetensors", tmp_path / "link")
    assert len(files) == 4
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_what_is_no_run_or_is_corrupt_is_one_message_and_writes_nothing(run_dir, tmp_path, child_environment):
    output = tmp_path / "new" / "out"
    for path, words in ((tmp_path / "nothing", "is not a run: it has no recipe.json"), (run_dir, "is corrupt")):
        (best,) = (run_dir / "checkpoints" / "best").iterdir()
        metadata = best / "_METADATA"
        metadata.write_bytes(metadata.read_bytes() + b"x")
        done = imdb("export", path, "--format=jax", f"--output={output}", environment=child_environment)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert words in done.stderr
    assert not output.parent.exists()


def test_what_a_format_can_not_hold_is_one_message_and_writes_nothing(run_dir, tmp_path, monkeypatch):
    run = open_run(run_dir)
    recipe = run.recipe.__class__(dtype="bfloat16")
    monkeypatch.setattr(exporting, "open_run", lambda *_: run._replace(recipe=recipe))
    with pytest.raises(ValueError, match="dtype bfloat16 can't be exported to ONNX"):
        export(run_dir, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="the limit is POSIX'")
@pytest.mark.parametrize("file_format", ["safetensors", "onnx", "jax", "keras"])
def test_a_file_that_can_not_grow_leaves_nothing(run_dir, tmp_path, file_format, relaxed):
    import resource

    if file_format == "keras":
        pytest.importorskip("keras")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    output = tmp_path / "new" / "out"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with relaxed(), pytest.raises(OSError, match="File too large") as caught:
            export(run_dir, file_format, output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.filename == str(output)
    assert not output.parent.exists()


def test_a_full_disk_names_the_folder(run_dir, tmp_path, monkeypatch):
    def write(run, folder):
        (folder / "half").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setitem(exporting._WRITERS, "safetensors", write)
    with pytest.raises(OSError, match="No space left") as caught:
        export(run_dir, "safetensors", tmp_path / "out")
    assert caught.value.filename == str(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my run"]


def test_a_missing_library_is_named_with_the_extra(run_dir, tmp_path, child_environment):
    code = "import sys; sys.modules['onnx'] = None; import runpy; "
    code += "runpy.run_module('experiments.imdb', run_name='__main__', alter_sys=True)"
    arguments = ("export", run_dir, "--format=onnx", f"--output={tmp_path / 'out'}")
    done = imdb(*arguments, environment=child_environment, program=("-c", code))
    assert done.returncode == 1
    assert done.stderr.endswith(": The format onnx needs onnx: pip install 'recurrent-jax[export]'\n")
    assert not (tmp_path / "out").exists()
