"""Building the native backend where something is wrong: one line that says what, and calls go on with fused.

The compiler is a script here, so nothing takes long and no library of this user's is touched.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import recurrent
import recurrent.native
from recurrent import backends
from recurrent.backends.native import build, compiler, library
from tests.unprivileged import UNPRIVILEGED, needs_permissions

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).parents[2]
COMPILER = """#!/bin/sh
if [ "$1" = --version ]; then echo "a compiler 1.0"; exit; fi
while [ "$1" != -o ]; do shift; done
%s
"""
WRITES = 'echo "no library" >"$2"'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, in which no library was found before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(library, "WITH_PACKAGE", tmp_path / "no package")
    for module in (backends, backends.native.plan, recurrent.native):
        monkeypatch.setattr(module, "load", Load())
    return tmp_path / "cache" / "recurrent" / "native"


class Load:
    """`load` as in a fresh process; what it found in this one is kept for other tests."""

    def __call__(self):
        return library.load.__wrapped__()

    def cache_clear(self):
        pass


@pytest.fixture
def make_compiler(tmp_path, monkeypatch):
    """Makes a script the compiler of this process and of those that it starts."""

    def make(does: str = WRITES, script: str = COMPILER) -> Path:
        path = tmp_path / "compiler"
        path.write_text(script % does if "%s" in script else script)
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))
        return path

    return make


def said_by_build(capsys):
    """Builds as the command does; it must fail with one line, which is returned."""
    capsys.readouterr()
    assert recurrent.native.main(["build"]) == 1
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    return errors


def assert_calls_go_on(reason):
    """A call by "auto" is computed by fused; one that asks for native is refused with the reason and the command."""
    params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    inputs = jnp.ones((2, 5, 3))
    explanation = recurrent.explain(recurrent.lstm, params, inputs)
    assert explanation.backend == "fused"
    assert reason in explanation.refusals["native"]
    assert f"`{library.COMMAND}`" in explanation.refusals["native"]
    assert recurrent.run(recurrent.lstm, params, inputs)[0].shape == (2, 5, 4)
    with pytest.raises(ValueError, match=reason):
        recurrent.run(recurrent.lstm, params, inputs, backend="native")


def test_without_a_compiler_one_line_says_so(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    said = said_by_build(capsys)
    assert said == (
        "The native backend is not built: there is no C++ compiler (c++, g++, clang++). "
        "Install g++ or clang++, or set CXX.\n"
    )
    monkeypatch.setenv("CXX", "/no/compiler")
    assert "there is no C++ compiler (/no/compiler)" in said_by_build(capsys)
    assert_calls_go_on("is not built")


def test_a_library_that_is_there_needs_no_compiler(make_compiler, monkeypatch):
    make_compiler()
    path = build.build()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    assert build.build() == path
    monkeypatch.setenv("CXX", "/no/compiler")  # this one was named, so it is missed
    with pytest.raises(recurrent.native.BuildError, match="/no/compiler"):
        build.build()
    path.write_text("damaged")
    monkeypatch.delenv("CXX")
    with pytest.raises(recurrent.native.BuildError, match="there is no C"):
        build.build()


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ('echo "In file x:" >&2; echo "x:1: error: no such header" >&2; exit 1', "failed: x:1: error: no such header"),
        ("exit 3", "failed: exit code 3"),
        ("kill -9 $$", "failed: exit code -9"),
        (r'printf "\377\376 error" >&2; exit 1', "error"),
        ("exit 0", "failed: exit code 0"),  # and has written nothing
    ],
)
def test_the_first_error_of_a_broken_compiler_is_shown(make_compiler, capsys, does, words, cache):
    path = make_compiler(does)
    said = said_by_build(capsys)
    assert f"The native backend is not built: the C++ compiler {path} failed: " in said
    assert words in said
    assert not [*cache.glob("*/*")]
    assert_calls_go_on("is not built")


@pytest.mark.parametrize("script", ["no program", "#!/no/interpreter\n", "#!/bin/sh\nexit 4\n"])
def test_a_compiler_that_does_not_start_is_named(make_compiler, capsys, script):
    path = make_compiler(script=script)
    assert f"the C++ compiler {path} does not start (" in said_by_build(capsys)


@pytest.mark.parametrize("stage", ["start", "compile"])
def test_a_compiler_that_hangs_is_ended_with_its_children(make_compiler, capsys, monkeypatch, tmp_path, stage):
    hangs = f'sleep 300 & echo $! >"{tmp_path}/child"; wait'
    path = make_compiler(hangs) if stage == "compile" else make_compiler(script=f"#!/bin/sh\n{hangs}\n")
    monkeypatch.setitem(compiler.SECONDS, stage, 1)
    started = time.monotonic()
    assert f"the C++ compiler {path} did not end within 1 s" in said_by_build(capsys)
    assert time.monotonic() - started < 60
    assert not is_running(int((tmp_path / "child").read_text()))


def is_running(process):
    """Says whether a process runs; one that has ended may still be listed until somebody has waited for it."""
    stat = Path(f"/proc/{process}/stat")
    for _ in range(100):
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        time.sleep(0.05)
    return True


def test_a_cache_that_can_not_be_made_is_named(make_compiler, capsys, monkeypatch, tmp_path):
    make_compiler()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    said = said_by_build(capsys)
    assert f"{tmp_path / 'file'}/recurrent/native/" in said
    assert "cannot be written (Not a directory). XDG_CACHE_HOME moves it." in said
    assert_calls_go_on("is not built")


@needs_permissions
def test_a_cache_without_permission_is_one_line_of_the_command(make_compiler, tmp_path):
    make_compiler()
    (tmp_path / "cache").mkdir(mode=0o555)
    done = command(wrapper=UNPRIVILEGED)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "cannot be written (Permission denied). XDG_CACHE_HOME moves it." in done.stderr


def command(program=("-m", "recurrent.native", "build"), wrapper=()):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*wrapper, sys.executable, *program], env=environment, capture_output=True, text=True, check=False
    )


def test_without_a_home_folder_one_line_says_so(make_compiler, capsys, monkeypatch):
    def refuse(self):
        raise RuntimeError("Could not determine home directory.")

    make_compiler()
    monkeypatch.setattr(Path, "expanduser", refuse)
    assert "there is no home folder. XDG_CACHE_HOME names a folder for the library." in said_by_build(capsys)
    assert_calls_go_on("there is no home folder")


def test_a_cache_of_another_machine_is_told_from_an_empty_one(make_compiler, cache):
    assert_calls_go_on("its library is not built")
    make_compiler()
    build.build().parent.rename(cache / "another key")
    assert_calls_go_on("its library is built for another processor, jaxlib or version")
    path = build.build()
    assert path.parent.name == build.key() != "another key"


def test_a_build_that_was_cut_short_is_none(cache):
    (cache / build.key() / "unfinished-1").mkdir(parents=True)
    assert_calls_go_on("its library is not built")


def test_a_file_that_was_changed_is_not_loaded_and_built_again(make_compiler, cache):
    make_compiler()
    path = build.build()
    path.write_text("changed")
    assert_calls_go_on("is damaged")
    assert build.build() == path
    assert path.read_text() == "no library\n"
    path.unlink()
    assert_calls_go_on("is damaged")
    assert build.build() == path


@pytest.mark.parametrize("content", ["", "{", "[]", '{"file": 3}', "null", "[" * 100_000, "\ud83d"])
def test_a_description_that_is_none_counts_as_no_build(make_compiler, content):
    make_compiler()
    path = build.build()
    description = path.with_name("built.json")
    intact = description.read_bytes()
    description.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert "its library is not built" in library.load.__wrapped__().why_not
    assert build.build() == path
    assert description.read_bytes() == intact


def test_a_file_that_is_no_library_is_reported_by_the_build_too(make_compiler, capsys):
    make_compiler()
    said = said_by_build(capsys)
    assert "The native backend is built, and cannot be used: its library" in said
    assert "cannot be loaded (" in said
    assert_calls_go_on("cannot be loaded")


def test_what_is_built_is_built_once_for_each_compiler(make_compiler, tmp_path):
    make_compiler(f'{WRITES}; echo x >>"{tmp_path}/log"')
    assert build.build() == build.build()
    assert (tmp_path / "log").read_text() == "x\n"
    make_compiler(f'{WRITES}; echo x >>"{tmp_path}/log"', COMPILER.replace("1.0", "2.0"))
    build.build()
    assert (tmp_path / "log").read_text() == "x\nx\n"


def test_two_that_build_at_once_do_no_harm(make_compiler, cache, tmp_path):
    """Each waits in its compiler until the other one compiles too; the file differs from one to the other."""
    meet = f'touch "{tmp_path}/here.$$"; until [ $(ls "{tmp_path}" | grep -c "^here") = 2 ]; do sleep 0.05; done'
    make_compiler(f'{meet}; echo $$ >"$2"')
    program = "from recurrent.backends.native.build import build; print(build())"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = [Path(process.communicate(timeout=120)[0].strip()) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all(path.is_file() for path in paths)
    built = build.find_built(cache / build.key())
    assert built.path in paths
    assert build.digest(built.path) == built.digest
    assert not [*cache.glob("*/unfinished-*")]
    assert json.loads((cache / build.key() / "built.json").read_text())["compiler"].endswith("a compiler 1.0")


def test_an_unknown_word_is_answered_with_the_usage(capsys):
    assert recurrent.native.main(["biuld"]) == 2
    assert capsys.readouterr().err == f"usage: {library.COMMAND}\n"
