"""How all command lines answer: in words, with commands that can be typed, on any terminal and into any pipe."""

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import command_line
from experiments.command_line import command, in_words
from experiments.names import unknown

ROOT = Path(__file__).parents[1]
MAIN = """
import sys
from experiments.command_line import respond, start
def main(arguments):
    return respond("imdb", lambda: run(*arguments))
"""


def program(body, *arguments, wrapper="", **environment):
    """Runs a main with this body in a shell, where output can be sent anywhere: its code and what it wrote."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    source = f"{MAIN}def run(*arguments):\n{lines}\nstart(main)\n"
    line = f"{shlex.join([sys.executable, '-c', source, *arguments])} {wrapper}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""} | environment
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, env=environment, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_characters_that_a_terminal_lacks_are_escaped(encoding):
    body = "print('naïve \\u2028 film \\ud800 →')\nprint('→', file=sys.stderr)\nreturn 0"
    code, output, errors = program(body, PYTHONIOENCODING=encoding)
    assert code == 0, errors
    shown = output.decode(encoding)
    assert shown.startswith("na\\xefve" if encoding == "ascii" else "naïve")
    assert "\\ud800" in shown


@pytest.mark.parametrize("size", [1, 10**6])
def test_a_reader_that_goes_away_is_no_error(size):
    """A short output fails when it is flushed at the end, a long one while it is printed."""
    body = f"import time\ntime.sleep(0.5)\nprint('x' * {size})\nreturn 0"
    code, _, errors = program(body, wrapper="| true; exit ${PIPESTATUS[0]}")
    assert (code, errors) == (141, "")


def test_help_that_is_cut_off_is_no_error():
    assert program("print('x' * 10**6)\nraise SystemExit(0)", wrapper="| true")[2] == ""


@pytest.mark.parametrize("wrapper", [">&-", ">&- 2>&-", "2>&-"])
def test_output_that_is_closed_is_dropped(wrapper):
    assert program("print('out', flush=True)\nprint('err', file=sys.stderr)\nreturn 0", wrapper=wrapper)[0] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_output_to_a_full_disk_is_said_once():
    code, _, errors = program("print('out')\nreturn 0", wrapper="> /dev/full")
    assert (code, errors) == (1, "scripts/imdb: no space is left on the disk\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("ValueError('two\\n  lines')", "two lines"),
        ("open('/nowhere/x')", "/nowhere/x: there is no such file or folder"),
        ("import os; os.mkdir('pyproject.toml')", "pyproject.toml: it is a file, but must be a folder"),
        ("open('tests')", "tests: it is a folder, but must be a file"),
        ("import keras_that_is_not_here", "the package keras_that_is_not_here is not installed"),
        ("import experiments.no_such", "No module named 'experiments.no_such'"),
        ("raise KeyboardInterrupt", "stopped"),
    ],
)
def test_what_a_person_can_mend_is_one_line(error, words):
    code, _, errors = program(f"{'raise ' if error.startswith('Value') else ''}{error}")
    assert code == (130 if "Keyboard" in error else 1)
    assert errors.startswith(f"scripts/imdb: {words}")
    assert errors.count("\n") == 1


def test_words_for_errors_of_the_system():
    assert in_words(OSError(errno.ENOSPC, "No space left on device")) == "no space is left on the disk"
    assert in_words(OSError(errno.EACCES, "x", "a b")) == "a b: no permission"
    assert in_words(OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b")) == (
        "a and b: Invalid cross-device link"
    )
    temporary = OSError(errno.EROFS, "x", "runs/one/.recipe.json.4711.tmp")
    assert in_words(temporary) == "runs/one/recipe.json: the file system is read-only"
    of_orbax = OSError("5 could not be saved: [Errno 13] Permission denied: '/x/5.orbax-checkpoint-tmp-17'.")
    assert in_words(of_orbax) == "5 could not be saved: Permission denied: '/x/5'."
    nested = OSError("runs/one can't be written: [Errno 28] No space left on device: 'runs/one/run.holder'.")
    assert in_words(nested) == "runs/one can't be written: No space left on device: 'runs/one/run.holder'."
    assert in_words(TimeoutError("only 3 bytes came")) == "only 3 bytes came"
    of_reader = OSError(errno.EIO, "Input/output error", "shard-3")
    of_reader.add_note("Step 6 of runs/one could not be saved either: [Errno 28] No space left on device")
    assert in_words(of_reader) == (
        "shard-3: Input/output error. Step 6 of runs/one could not be saved either: No space left on device"
    )
    of_iterator = ValueError("The iterator ended.")
    of_iterator.add_note("Step 6 could\nnot be saved")
    of_iterator.add_note("--------------------\nFor simplicity, JAX has removed its internal frames")
    assert in_words(of_iterator) == "The iterator ended. Step 6 could not be saved"


@pytest.mark.parametrize("name, extra", [("torch", "peers"), ("keras.src", "peers"), ("matplotlib", "imdb")])
def test_a_missing_package_is_said_with_what_brings_it(name, extra):
    error = ModuleNotFoundError(f"No module named {name!r}", name=name)
    assert in_words(error).endswith(f"is not installed; run pip install 'recurrent-jax[{extra}]'")


def test_a_command_can_be_typed_where_it_is_shown(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert command("imdb", "evaluate", "my runs/one") == "scripts/imdb evaluate 'my runs/one'"
    monkeypatch.chdir(tmp_path)
    assert command("imdb", "evaluate", Path("$x")) == f"{shlex.quote(str(ROOT / 'scripts' / 'imdb'))} evaluate '$x'"
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/recurrent-imdb", "train"])
    assert command("imdb", "train") == "recurrent-imdb train"
    monkeypatch.setattr(sys, "argv", ["__main__.py"])
    monkeypatch.setattr(command_line, "CHECKOUT", None)
    assert command("imdb", "train") == "recurrent-imdb train"


def test_a_command_is_said_where_the_current_folder_was_removed(monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert command("imdb") == str(ROOT / "scripts" / "imdb")


def test_a_name_that_is_not_known_gets_the_nearest_one():
    assert "Did you mean 'simple-rnn'?" in unknown("recipe", "simple_rnn", ["lstm", "simple-rnn"])
    assert "Did you mean" not in unknown("recipe", "qqqq", ["lstm", "simple-rnn"])


@pytest.mark.parametrize("experiment", ["memory", "speed"])
def test_a_figure_of_something_else_is_refused_in_one_line(experiment, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    for arguments, words in (
        ([], "usage: python -m experiments"),
        (["--help"], "usage: python -m experiments"),
        ([str(tmp_path / "none.json")], f"{tmp_path / 'none.json'}: there is no such file or folder"),
        ([str(tmp_path / "other.json")], f"{tmp_path / 'other.json'} is not a file of results of"),
    ):
        command = [sys.executable, "-m", f"experiments.{experiment}.figure", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"scripts/{experiment}: {words}")
        assert done.stderr.count("\n") == 1
