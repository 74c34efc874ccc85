"""The set-up script on a stand-in of a checkout: Python, venv and pip are programs that only note what they do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unprivileged import UNPRIVILEGED, needs_permissions

SCRIPT = Path(__file__).parents[1] / "scripts" / "bootstrap"
PYTHON = """#!/usr/bin/env bash
# A Python that makes a venv of itself, and whose pip installs nothing.
case "$*" in
  --version) echo "Python 3.11.9" ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install "*) echo "$*" >>pip.log; [ -z "${FAILS:-}" ] ;;
  "-m recurrent.native build")
    echo x >>native.log
    if [ -n "${BUILD_FAILS:-}" ]; then echo "Traceback"; echo "$BUILD_FAILS"; exit 1; fi
    touch library
    echo "The native backend is built: $PWD/library" ;;
esac
"""
WITHOUT_UV = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if not (Path(each) / "uv").exists())


@pytest.fixture
def checkout(tmp_path):
    root = tmp_path / "a checkout"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, root / "scripts")
    shutil.copy(SCRIPT.with_name("find-python"), root / "scripts")
    (root / "pyproject.toml").write_text("version = 1\n")
    (root / "recurrent" / "backends" / "native" / "source").mkdir(parents=True)
    (root / "recurrent" / "backends" / "native" / "source" / "a.cc").write_text("1")
    (tmp_path / "compiler").write_text("#!/bin/sh\n")
    (tmp_path / "compiler").chmod(0o755)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return root


def stand_ins(checkout):
    programs = {"PYTHON": str(checkout.parent / "python"), "CXX": str(checkout.parent / "compiler")}
    return {**programs, "PATH": WITHOUT_UV, "VENV": "", "XDG_CACHE_HOME": ""}


def bootstrap(checkout, *extras, wrapper=(), **environment):
    """Runs it without uv, whatever this machine has: (code, standard error)."""
    done = subprocess.run(
        [*wrapper, checkout / "scripts" / "bootstrap", *extras],
        env=os.environ | stand_ins(checkout) | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def installed(checkout):
    return [line.split()[-1] for line in (checkout / "pip.log").read_text().splitlines()]


def test_the_first_set_up_says_what_it_does_before_it_does_it(checkout):
    code, said = bootstrap(checkout, FAILS="1")
    assert code != 0
    for words in (
        f"makes {checkout}/.venv with Python 3.11.9",
        "recurrent-jax[imdb]",
        "downloads about 0.3 GB",
        "1.2 GB",
        "minutes",
    ):
        assert words in said


@pytest.mark.parametrize(
    "extras, size",
    [((), "1.2 GB"), (("imdb", "peers"), "2.1 GB"), (("peers", "test"), "2.6 GB"), (("test",), "1.7 GB")],
)
def test_what_it_takes_depends_on_what_is_asked_for(checkout, extras, size):
    assert size in bootstrap(checkout, *extras)[1]
    assert installed(checkout) == [f".[{','.join(extras) or 'imdb'}]"]


def test_what_is_up_to_date_is_left_alone_without_a_word(checkout):
    assert bootstrap(checkout, "imdb", "peers")[0] == 0
    assert bootstrap(checkout, "imdb") == (0, "")
    assert bootstrap(checkout, "peers") == (0, "")
    assert len(installed(checkout)) == 1


def test_an_update_is_no_first_set_up(checkout):
    bootstrap(checkout)
    code, said = bootstrap(checkout, "docs")
    assert (code, "brings .venv up to date with recurrent-jax[docs,imdb]" in said, "first" in said) == (0, True, False)
    (checkout / "pyproject.toml").write_text("version = 2\n")
    assert "up to date" in bootstrap(checkout)[1]
    assert installed(checkout) == [".[imdb]", ".[docs,imdb]", ".[docs,imdb]"]


def test_a_set_up_that_failed_is_done_again(checkout):
    assert bootstrap(checkout, FAILS="1")[0] != 0
    assert bootstrap(checkout)[0] == 0
    assert bootstrap(checkout) == (0, "")


@needs_permissions
def test_a_checkout_that_is_set_up_needs_no_permission_to_write(checkout):
    bootstrap(checkout)
    (checkout / "scripts").chmod(0o555)
    (checkout / ".venv").chmod(0o555)
    checkout.chmod(0o555)
    try:
        assert bootstrap(checkout, wrapper=UNPRIVILEGED) == (0, "")
        code, said = bootstrap(checkout, "docs", wrapper=UNPRIVILEGED)
        assert (code, said.count("\n")) == (1, 1)
        assert f"{checkout} has to be set up, and can't be written: no permission" in said
    finally:
        checkout.chmod(0o755)


def test_a_python_that_does_not_start_is_named(checkout):
    code, said = bootstrap(checkout, PYTHON="/no/python")
    assert (code, said) == (
        1,
        "scripts/bootstrap: PYTHON=/no/python does not start, or is not Python 3.11 or newer with venv.\n",
    )


def test_a_python_of_pyenv_is_found_by_its_version(checkout, tmp_path):
    place = tmp_path / "pyenv" / "versions" / "3.99.1" / "bin"
    place.mkdir(parents=True)
    shutil.copy(tmp_path / "python", place)
    assert bootstrap(checkout, PYTHON="python3.99", PYENV_ROOT=str(tmp_path / "pyenv"))[0] == 0
    assert installed(checkout) == [".[imdb]"]


def test_another_python_needs_another_folder(checkout, tmp_path):
    bootstrap(checkout)
    other = tmp_path / "other"
    other.write_text(PYTHON.replace("3.11.9", "3.13.0"))
    other.chmod(0o755)
    code, said = bootstrap(checkout, PYTHON=str(other))
    assert (code, ".venv has Python 3.11.9, and PYTHON asks for Python 3.13.0" in said) == (1, True)
    assert bootstrap(checkout, PYTHON=str(other), VENV=".venv-other")[0] == 0
    assert (checkout / ".venv-other" / "bin" / "python").exists()


def test_a_python_that_does_not_start_is_the_only_complaint_beside_an_environment(checkout):
    assert bootstrap(checkout)[0] == 0
    code, said = bootstrap(checkout, PYTHON="no-such-python")
    assert code == 1
    assert (
        said == "scripts/bootstrap: PYTHON=no-such-python does not start, or is not Python 3.11 or newer with venv.\n"
    )


def on(day, folder):
    """Returns a PATH with a clock that shows a day."""
    clock = folder / day / "date"
    clock.parent.mkdir(exist_ok=True)
    clock.write_text(f"#!/bin/sh\necho {day}\n")
    clock.chmod(0o755)
    return os.pathsep.join([str(clock.parent), WITHOUT_UV])


def test_the_newest_packages_are_asked_for_once_a_day_and_for_new_requirements(checkout, tmp_path):
    monday, tuesday = (on(day, tmp_path) for day in ("2026-11-23", "2026-11-24"))
    bootstrap(checkout, PATH=monday)
    assert "--upgrade" not in (checkout / "pip.log").read_text()
    for path, version, times in ((monday, 1, 2), (monday, 1, 2), (tuesday, 1, 3), (tuesday, 2, 4), (tuesday, 2, 4)):
        (checkout / "pyproject.toml").write_text(f"version = {version}\n")
        assert bootstrap(checkout, NEWEST="1", PATH=path)[0] == 0
        asked = (checkout / "pip.log").read_text().splitlines()
        assert len(asked) == times
    assert all("--upgrade --upgrade-strategy eager" in line for line in asked[1:])


def test_an_upgrade_that_fails_leaves_the_packages_that_meet_the_requirements(checkout, tmp_path):
    monday, tuesday = (on(day, tmp_path) for day in ("2026-11-23", "2026-11-24"))
    assert bootstrap(checkout, NEWEST="1", PATH=monday, FAILS="1")[0] != 0
    assert bootstrap(checkout, NEWEST="1", PATH=monday)[0] == 0
    code, said = bootstrap(checkout, NEWEST="1", PATH=tuesday, FAILS="1")
    assert (code, "could not upgrade .venv" in said) == (0, True)
    assert bootstrap(checkout, NEWEST="1", PATH=tuesday) != (0, "")  # and is tried again
    assert bootstrap(checkout, NEWEST="1", PATH=tuesday) == (0, "")
    (checkout / "pyproject.toml").write_text("version = 2\n")
    assert bootstrap(checkout, NEWEST="1", PATH=tuesday, FAILS="1")[0] != 0


def num_builds(checkout):
    log = checkout / "native.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_the_native_backend_is_built_once_and_again_where_its_key_may_change(checkout, tmp_path):
    code, said = bootstrap(checkout)
    assert (code, f"builds the native backend with {tmp_path}/compiler" in said) == (0, True)
    packages = checkout / ".venv" / "lib" / "python3.11" / "site-packages"
    changes = [
        lambda: (checkout / "recurrent" / "backends" / "native" / "source" / "a.cc").write_text("2"),
        lambda: (packages / "jaxlib-0.11.dist-info").mkdir(parents=True),
        lambda: (tmp_path / "compiler").write_text("#!/bin/sh\n# a newer one\n"),
        (checkout / "library").unlink,
    ]
    for number, change in enumerate(changes, 1):
        assert bootstrap(checkout) == (0, "")
        assert num_builds(checkout) == number
        change()
        assert "builds the native backend" in bootstrap(checkout)[1]
    assert num_builds(checkout) == 5
    assert len(installed(checkout)) == 1


def test_a_build_that_fails_is_one_line_and_is_not_tried_again(checkout, tmp_path):
    why = "The native backend is not built: the C++ compiler c++ failed: error."
    code, said = bootstrap(checkout, BUILD_FAILS=why)
    assert (code, said.splitlines()[-1]) == (0, f"scripts/bootstrap: {why}")
    assert "Traceback" not in said
    assert bootstrap(checkout, BUILD_FAILS=why) == (0, "")
    assert num_builds(checkout) == 1
    (tmp_path / "compiler").write_text("#!/bin/sh\n# another one\n")
    assert bootstrap(checkout)[0] == 0
    assert bootstrap(checkout) == (0, "")
    assert num_builds(checkout) == 2


def test_without_a_compiler_nothing_is_built_or_said(checkout):
    code, said = bootstrap(checkout, CXX="no-such-compiler")
    assert (code, "native" in said, num_builds(checkout)) == (0, False, 0)
    assert bootstrap(checkout, CXX="no-such-compiler") == (0, "")


def test_an_environment_that_failed_has_no_build(checkout):
    assert bootstrap(checkout, FAILS="1")[0] != 0
    assert num_builds(checkout) == 0


@needs_permissions
def test_a_checkout_that_can_not_be_written_is_used_without_the_native_backend(checkout):
    bootstrap(checkout, CXX="no-such-compiler")
    (checkout / ".venv").chmod(0o555)
    checkout.chmod(0o555)
    try:
        assert bootstrap(checkout, wrapper=UNPRIVILEGED) == (0, "")
        assert num_builds(checkout) == 0
    finally:
        checkout.chmod(0o755)
