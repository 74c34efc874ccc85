"""Processes that are killed, at any moment and at chosen ones, and the runs that go on after them."""

import sys

import pytest

from experiments.imdb.runs.soak import Soak, compare_runs, soak
from tests import forked
from tests.training.child import NUM_STEPS
from tests.training.conftest import make_experiment

EPOCHS = 50


@pytest.mark.slow
@pytest.mark.fault(1)
def test_a_run_killed_at_25_random_moments_ends_as_if_it_had_not_been(tmp_path, child_environment, monkeypatch):
    monkeypatch.setattr("experiments.imdb.runs.soak_life.subprocess.Popen", forked.Popen)

    def command(path):
        return [sys.executable, "-m", "tests.training.child", str(path), f"--epochs={EPOCHS}"]

    plan = Soak(25, command, seed=0, folder=tmp_path, start_seconds=1.2, environment=child_environment)
    found = soak(plan._replace(later_seconds=0.05))  # the whole run takes about a second
    assert found["kills"] == 25
    assert max(found["step_after_each_kill"]) > NUM_STEPS  # they spread over the run, not over its start alone
    assert compare_runs(tmp_path / "whole", tmp_path / "killed", make_experiment().start) == []


@pytest.mark.slow
@pytest.mark.fault(1)
def test_a_run_killed_before_any_of_its_writes_ends_as_if_it_had_not_been(train_child, tmp_path, assert_equals_whole):
    """Each process is killed a few changes to the folder later than the one before: in a resume, a save, a record,
    the choice of the best one, a deletion.
    """
    num_kills = 0
    for crash_after in (*range(2, 40, 5), *range(43, 170, 14)):
        code, _, errors = train_child(tmp_path / "run", f"--crash-after={crash_after}")
        assert code in (0, -9), errors
        num_kills += code == -9
    assert num_kills >= 12
    code, _, errors = train_child(tmp_path / "run")
    assert code == 0, errors
    assert_equals_whole(tmp_path / "run")


@pytest.mark.fault(2)
@pytest.mark.parametrize("crash_after", [7, 8])
def test_a_kill_while_the_manifest_is_written_costs_that_step_alone(
    train_child, tmp_path, assert_equals_whole, crash_after
):
    """The changes to the folder of manifests: it is made, then each manifest is opened and renamed."""
    path = tmp_path / "run"
    assert train_child(path, f"--crash-after={crash_after}", "--crash-at=manifests/latest")[0] == -9
    manifests = path / "checkpoints" / "manifests" / "latest"
    sealed = sorted(int(file.stem) for file in manifests.glob("*.json"))
    (unfinished,) = {int(step.name) for step in (path / "checkpoints" / "latest").iterdir()} - set(sealed)
    assert unfinished == sealed[-1] + 1
    code, _, errors = train_child(path)
    assert code == 0
    assert f"latest/{unfinished} is incomplete: it has no seal" in errors
    assert f"continuing from latest/{sealed[-1]}" in errors
    assert (path / "checkpoints" / "rejected" / f"latest-{unfinished}").is_dir()
    assert_equals_whole(path)


def test_a_kill_in_the_very_first_save_starts_at_step_0_and_says_so(train_child, tmp_path, assert_equals_whole):
    path = tmp_path / "run"
    assert train_child(path, "--crash-after=2", "--crash-at=manifests/latest")[0] == -9
    code, _, errors = train_child(path)
    assert code == 0, errors
    assert "latest/1 is incomplete" in errors
    assert "continuing from step 0" in errors
    assert_equals_whole(path)
