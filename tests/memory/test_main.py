"""The command, in this process: JAX is started already."""

import json
import os
import subprocess
import sys

import jax
import pytest

from experiments.memory import __main__ as command
from experiments.memory import results
from recurrent.training.signals import Stopped

TINY = ("--width", "4", "--batch", "2", "--seeds", "2", "--steps", "60", "--cells", "simple_rnn")


@pytest.fixture
def memory(monkeypatch, tmp_path):
    """Runs the command; threads take JAX' settings from the process, and Optax' Adam needs a free promotion."""
    monkeypatch.setattr(command, "start_jax", lambda *arguments: None)
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield lambda *arguments: command.main([*arguments, "--output", str(tmp_path)])
    jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.mark.slow
def test_a_measurement_is_written_point_by_point_and_goes_on_with_the_same_bits(memory, tmp_path, monkeypatch, capsys):
    options = (*TINY, "--lengths", "6", "9")
    assert memory(*options) == 0
    path = tmp_path / "adding.json"
    whole = results.read(path)
    assert [(point.cell, point.length) for point in whole.points] == [("simple_rnn", 6), ("simple_rnn", 9)]
    for point in whole.points:
        assert [(run.seed, len(run.losses)) for run in point.runs] == [(0, 2), (1, 2)]
        assert point.runs[0].losses != point.runs[1].losses
        assert len(point.before["hidden"].log_norms) == len(point.after["hidden"].log_norms) == point.length
    assert whole.cpu_seconds > 0
    shown = capsys.readouterr().out
    assert shown.count("not solved in 60 steps") == 4
    assert "| SimpleRNN " in shown
    assert (tmp_path / "adding.svg").read_text().startswith("<?xml")

    written, write = [], results.write
    results.write(whole._replace(points=whole.points[:1]), path)
    monkeypatch.setattr(results, "write", lambda found, path: (written.append(len(found.points)), write(found, path)))
    assert memory(*options) == 0
    assert written == [2]
    assert list(map(_timeless, results.read(path).points)) == list(map(_timeless, whole.points))

    capsys.readouterr()
    assert memory(*options, "--width", "5") == 1
    error = capsys.readouterr().err
    other = f"{path} has results of another measurement: settings.width: 4 there, 5 now."
    assert error.startswith(f"scripts/memory: {other}")
    assert error.count("\n") == 1


def _timeless(point):
    return point._replace(runs=[run._replace(seconds=0) for run in point.runs])


@pytest.mark.slow
def test_a_signal_leaves_what_is_measured(memory, tmp_path, monkeypatch):
    from experiments.memory import study

    def train(settings, cell, length, seed, **hooks):
        if length == 9:
            raise Stopped
        return trained(settings, cell, length, seed, **hooks)

    trained = study.train
    monkeypatch.setattr(study, "train", train)
    memory(*TINY, "--lengths", "6", "9")
    assert [point.length for point in results.read(tmp_path / "adding.json").points] == [6]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ("--task", "ading"),
            "there is no task 'ading'. Did you mean 'adding'? There are: adding, copy, recall, order.",
        ),
        (("--cells", "lsmt"), "there is no cell 'lsmt'. Did you mean 'lstm'? There are: simple_rnn, lstm, "),
        (("--task", "order", "--lengths", "100", "9"), "TemporalOrder needs a length of at least 10, not 9."),
        (("--seeds", "0"), "seeds must be positive and finite, not 0."),
        (("--width=-3",), "width must be positive and finite, not -3."),
        (("--learning-rate", "nan"), "learning_rate must be positive and finite, not nan."),
    ],
)
def test_what_a_person_can_mend_is_one_line(memory, arguments, message, capsys):
    assert memory(*arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"scripts/memory: {message}")
    assert error.count("\n") == 1


def test_an_output_that_can_not_be_written_is_told_before_the_work(memory, capsys):
    path = f"{__file__}/x"
    assert command.main([*TINY, "--lengths", "6", "--output", path]) == 1
    assert capsys.readouterr().err == f"scripts/memory: --output {path}: a part of the path is a file\n"


HELP = """
import sys
from experiments.memory.__main__ import main
try:
    main(["--help"])
except SystemExit:
    assert "jax" not in sys.modules
"""


def test_help_is_answered_without_jax():
    command = [sys.executable, "-c", HELP]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "100"}, check=False)
    assert done.returncode == 0, done.stderr
    assert "--lengths" in done.stdout


def test_the_file_is_json_without_numbers_that_json_has_not(tmp_path):
    for path in sorted(command.Path("docs/memory").glob("*.json")):
        json.loads(path.read_text(), parse_constant=pytest.fail)
