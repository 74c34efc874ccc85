"""A soak of two processes, of which one is killed at random moments."""

import sys

import pytest

from experiments.imdb.runs import soak_life
from experiments.imdb.runs.soak import Soak, compare_runs, soak
from tests import forked
from tests.training.conftest import make_experiment


@pytest.mark.slow
@pytest.mark.fault(28)
def test_one_of_two_processes_is_killed_and_both_resume(tmp_path, child_environment, monkeypatch):
    monkeypatch.setattr("experiments.imdb.runs.soak_life.subprocess.Popen", forked.Popen)
    monkeypatch.setattr(soak_life, "CONNECT_SECONDS", 5)

    def command(path):
        own = ["--epochs=40", "--devices=1", "--silence-seconds=4"]
        return [sys.executable, "-m", "tests.training.child", str(path), *own]

    plan = Soak(3, command, 1, tmp_path, start_seconds=2, environment=child_environment, processes=2)
    found = soak(plan)
    assert found["kills"] == 3
    assert found["kills_that_the_others_did_not_name"] == 0
    assert 0 <= found["kills_of_process_0"] <= 3
    assert found["seconds_until_the_others_ended"]["most"] < 60
    assert compare_runs(tmp_path / "whole", tmp_path / "killed", make_experiment().start) == []
