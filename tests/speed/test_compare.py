import dataclasses
import json
import math
import signal
import sys

import pytest

from experiments.speed import turns
from experiments.speed.compare import compare
from experiments.speed.process import ContestantError, OutOfTime, Process, Unavailable
from experiments.speed.task import Task

SMALL = Task(batch=4, time=6, width=3, vocabulary=20)
INTRODUCTION = {"version": "1", "engine": "jax 1", "device": "cpu", "xla_flags": ""}


def ignore(what: str) -> None:
    pass


class Script:
    """Contestants without processes: answers come from a table, and what was asked is kept in order."""

    def __init__(self, **losses):
        self.losses = losses
        self.asked = []
        self.stopped = []

    def __call__(self, name, task, python, limit_seconds):
        return _Actor(self, name)


class _Actor:
    introduction = INTRODUCTION

    def __init__(self, script, name):
        self.script, self.name = script, name

    def introduce(self):
        if self.script.losses[self.name] == "cannot start":
            raise ContestantError(f"{self.name} cannot start")
        if self.script.losses[self.name] == "not built":
            raise Unavailable("it is not built")

    def ask(self, command, turn):
        self.script.asked.append((self.name, command, turn))
        if command == "memory":
            return {"memory_bytes": 7, "first_memory_bytes": 9}
        answer = self.script.losses[self.name][turn]
        if isinstance(answer, Exception):
            raise answer
        loss, logit = answer if isinstance(answer, tuple) else (answer, -answer)
        return {"seconds": 1.0 + turn, "result": loss if command == "train" else [0.0, logit]}

    def stop(self):
        self.script.stopped.append(self.name)


@pytest.fixture
def play(monkeypatch):
    """Compares scripted contestants over three turns; returns results, failures by name, and the script."""

    def play(is_strict=False, **losses):
        script, failures = Script(**losses), {}
        script.left_out = {}
        monkeypatch.setattr(turns, "Process", script)
        on_failure = None if is_strict else failures.__setitem__
        on_left_out = script.left_out.__setitem__
        results = compare(
            list(losses), SMALL, 3, ignore, on_failure=on_failure, on_left_out=on_left_out, with_memory=True
        )
        return {result.contestant: result for result in results}, failures, script

    return play


def test_the_order_rotates_and_the_first_turn_does_not_count(play):
    results, failures, script = play(one=[0.5, 0.4, 0.3, 0.2], other=[0.5, 0.4, 0.3, 0.2])
    trained = [name for name, command, _ in script.asked if command == "train"]
    assert trained == ["one", "other", "other", "one", "one", "other", "other", "one"]
    assert not failures
    one = results["one"]
    assert (one.turns, one.train_seconds, one.train_best_seconds, one.predict_seconds) == (3, 3.0, 2.0, 3.0)
    assert (one.first_seconds, one.memory_bytes, one.first_memory_bytes) == (SMALL.steps * 1.0, 7, 9)
    assert one.losses == [0.5, 0.4, 0.3, 0.2]
    assert sorted(script.stopped) == ["one", "one", "other", "other"]


def test_memory_is_measured_once_all_others_have_ended(play):
    _, _, script = play(one=[0.5] * 4, other=[0.5] * 4)
    assert script.asked[-2:] == [("one", "memory", 0), ("other", "memory", 0)]


@pytest.mark.parametrize("wrong", [0.3 * 1.002, math.nan, (0.3, -0.5), (0.3, math.nan)])
def test_one_that_computes_something_else_has_no_speed(play, wrong):
    losses = {"one": [0.5, 0.4, 0.3, 0.2], "wrong": [0.5, 0.4, wrong, 0.2]}
    results, failures, _ = play(**losses)
    assert list(results) == ["one"]
    assert "wrong and one do not agree in turn 2" in failures["wrong"]
    with pytest.raises(ContestantError, match="wrong and one do not agree"):
        play(is_strict=True, **losses)


def test_one_that_cannot_start_or_breaks_is_left_out_and_the_next_one_is_the_measure(play):
    broken = [0.5, 0.4, ContestantError("broken failed"), 0.2]
    results, failures, script = play(absent="cannot start", broken=broken, one=[0.6] * 4, other=[0.6] * 4)
    assert list(results) == ["one", "other"]
    assert failures == {"absent": "absent cannot start", "broken": "broken failed"}
    assert ("broken", "train", 3) not in script.asked


def test_one_that_runs_out_of_time_keeps_the_turns_that_it_took(play):
    late = OutOfTime("too slow")
    results, failures, script = play(one=[0.5] * 4, slow=[0.5, 0.5, late, 0.5], slowest=[0.5, late, 0.5, 0.5])
    assert (results["one"].turns, results["slow"].turns) == (3, 1)
    assert failures == {"slowest": "too slow"}
    assert ("slow", "train", 3) not in script.asked


@pytest.mark.parametrize("is_strict", [False, True])
def test_one_that_cannot_take_part_here_is_left_out_of_the_benchmark_too(play, is_strict):
    results, failures, script = play(is_strict, native="not built", one=[0.5] * 4, other=[0.5] * 4)
    assert (list(results), failures, script.left_out) == (["one", "other"], {}, {"native": "it is not built"})


@pytest.mark.slow
def test_contestants_take_turns_in_processes_of_their_own():
    linen, torch = compare(("linen", "pytorch"), SMALL, 2, ignore, with_memory=True)
    assert linen.losses == pytest.approx(torch.losses, rel=1e-5)
    assert len(linen.losses) == 3
    assert 0 < torch.train_best_seconds <= torch.train_seconds
    assert linen.engine.startswith("jax ")
    assert torch.device == "cpu"
    assert min(linen.memory_bytes, torch.memory_bytes, linen.first_memory_bytes) > 0
    assert "denormals flushed" in torch.settings
    assert linen.settings == ""


@pytest.mark.slow
def test_a_users_loop_runs_on_jax_as_it_comes(monkeypatch):
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")
    task = dataclasses.replace(SMALL, start="default", lengths="full")
    loop, linen, torch = compare(("own_loop", "linen", "pytorch"), task, 1, ignore)
    assert loop.losses == pytest.approx(linen.losses, rel=1e-5)
    assert loop.losses == pytest.approx(torch.losses, rel=1e-5)
    assert (loop.xla_flags, linen.xla_flags) == ("", "")


def test_a_contestant_that_fails_is_named():
    with pytest.raises(RuntimeError, match=r"(?s)nobody failed \(exit status 1\).*KeyError: 'nobody'"):
        compare(("nobody",), SMALL, turns=1, on_progress=ignore)


def test_a_python_that_is_not_there_is_named():
    with pytest.raises(RuntimeError, match=r"keras_tensorflow cannot start: /no/python: there is no such file"):
        compare(("keras_tensorflow",), SMALL, 1, ignore, pythons={"keras_tensorflow": "/no/python"})


def program(folder, source: str) -> str:
    """Writes a program that takes a Python's place, whatever its arguments."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{source}\n")
    path.chmod(0o755)
    return str(path)


def test_time_that_is_up_ends_the_process():
    process = Process("pytorch", SMALL, limit_seconds=0.05)
    with pytest.raises(OutOfTime, match=r"pytorch needs more than 0\.05 seconds"):
        process.introduce()
    process.stop()
    assert process._process.returncode == -9


def test_a_contestant_that_is_killed_is_reported(tmp_path):
    introduction = json.dumps(json.dumps(INTRODUCTION))
    python = program(
        tmp_path, f"import os\nprint({introduction}, flush=True)\ninput()\nos.kill(os.getpid(), {signal.SIGKILL})"
    )
    process = Process("linen", SMALL, python)
    process.introduce()
    assert process.introduction == INTRODUCTION
    with pytest.raises(ContestantError, match=r"linen failed \(killed by signal 9, perhaps out of memory\)"):
        process.ask("train", 0)
    process.stop()


def test_a_contestant_that_cannot_take_part_here_says_why(tmp_path):
    process = Process("native", SMALL, program(tmp_path, """print('{"left_out": "it is not built"}')"""))
    with pytest.raises(Unavailable, match=r"^it is not built$"):
        process.introduce()
    process.stop()


def test_errors_that_nobody_reads_do_not_stop_a_contestant(tmp_path):
    python = program(tmp_path, "import sys\nsys.stderr.write('x' * 10**6)\nprint('{}')")
    process = Process("linen", SMALL, python, limit_seconds=60)
    process.introduce()
    process.stop()
