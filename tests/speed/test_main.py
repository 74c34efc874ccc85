"""The command as a process."""

import json
import os
import subprocess
import sys

import pytest

from experiments.speed.contestants import CONTESTANTS


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
    assert "Keras on TensorFlow left out: give --tensorflow-python PATH" in done.stdout
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
