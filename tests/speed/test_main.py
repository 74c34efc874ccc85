"""The command as a process."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from experiments.speed.contestants import CONTESTANTS, missing


def speed(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "experiments.speed", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "120", "TENSORFLOW_PYTHON": ""} | environment,
        check=False,
    )


@pytest.mark.slow
def test_a_grid_is_written_with_what_was_left_out(tmp_path):
    done = speed(
        *("--suite", "length", "--values", "4", "6", "--cells", "simple_rnn", "--batch", "2", "--width", "3"),
        *("--vocabulary", "20", "--turns", "1", "--no-memory", "--output", str(tmp_path)),
        *("--contestants", "pytorch", "pytorch_packed", "keras_tensorflow"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "length.json").read_text())
    assert [point["task"]["time"] for point in found["points"]] == [4, 6]
    for point in found["points"]:
        assert [result["contestant"] for result in point["results"]] == ["pytorch"]
        assert point["results"][0]["train_ratio"] == 1.0
        assert point["results"][0]["memory_bytes"] is None
        assert point["left_out"].keys() == {"pytorch_packed", "keras_tensorflow"}
    assert "Keras on TensorFlow left out: pass --tensorflow-python PATH" in done.stdout
    assert (tmp_path / "length.svg").read_text().startswith("<?xml")


def test_a_contestant_that_fails_ends_the_benchmark_but_not_a_grid():
    sizes = ("--cells", "lstm", "--batch", "2", "--time", "4", "--width", "3", "--vocabulary", "20", "--no-memory")
    options = (*sizes, "--contestants", "keras_tensorflow", "--tensorflow-python", "/no/python")
    strict = speed(*options)
    assert strict.returncode == 1
    assert strict.stderr.startswith("scripts/speed: keras_tensorflow cannot start")
    lenient = speed("--suite", "width", *options)
    assert lenient.returncode == 0, lenient.stderr
    assert "Keras on TensorFlow left out: keras_tensorflow cannot start" in lenient.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--output", "pyproject.toml/x"), "--output pyproject.toml/x: a part of the path is a file"),
        (("--turns", "0"), "--turns must be positive, not 0."),
        (("--limit-seconds", "-1"), "--limit-seconds must be positive, not -1.0."),
        (
            ("--contestants", "keras_tensorflow", "--tensorflow-python", "/", "--no-memory"),
            "keras_tensorflow cannot start: /: no permission",
        ),
    ],
)
def test_what_a_person_can_mend_is_one_line(arguments, words):
    done = speed(*arguments)
    assert (done.returncode, done.stderr) == (1, f"scripts/speed: {words}\n")


def test_a_contestant_whose_package_is_not_installed_is_left_out_with_what_brings_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert missing("ours") is None
    assert missing("keras_tensorflow") is None
    for name in ("pytorch", "pytorch_packed", "linen", "keras_jax"):
        assert "pip install 'recurrent-jax[peers]'" in missing(name)


def test_ctrl_c_ends_a_comparison_and_its_contestants_with_a_line():
    options = ("--cells", "lstm", "--contestants", "ours", "--no-memory", "--limit-seconds", "300")
    command = [sys.executable, "-m", "experiments.speed", *options]
    environment = os.environ | {"COLUMNS": "120", "TENSORFLOW_PYTHON": ""}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True) as process:
        while not children(process.pid):
            time.sleep(0.05)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.decode()) == (130, "scripts/speed: stopped\n")
    assert not children(process.pid)


def children(number):
    """Processes of a session, its leader aside."""
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(number)], capture_output=True, text=True, check=False)
    return {int(each) for each in found.stdout.split()} - {number}


def test_sizes_that_are_none_are_refused():
    done = speed("--batch", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("scripts/speed: Sizes must be at least 1")


@pytest.mark.slow
def test_keras_on_tensorflow_agrees_where_there_is_a_python_that_has_it():
    python = os.environ.get("TENSORFLOW_PYTHON")
    if not python:
        pytest.skip("TENSORFLOW_PYTHON names none")
    for padding in ("keras", "masked"):
        done = speed(
            *("--batch", "4", "--time", "6", "--width", "3", "--vocabulary", "20", "--turns", "1", "--no-memory"),
            *("--lengths", "reviews", "--padding", padding, "--contestants", "pytorch", "keras_tensorflow"),
            TENSORFLOW_PYTHON=python,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(CONTESTANTS["keras_tensorflow"].label) == 3
