import json
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from recurrent.training import Interrupt, Record, RunDirectory, Timing

OPEN_AND_WAIT = """
import sys, pathlib
from recurrent.training import RunDirectory
with RunDirectory(pathlib.Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.fault(11)
def test_a_second_process_is_refused_and_told_who_is_there(tmp_path):
    command = [sys.executable, "-c", OPEN_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(RuntimeError, match=f"process {holder.pid} on"), RunDirectory(tmp_path):
            pass
        holder.kill()
    with RunDirectory(tmp_path):  # the lock of a process that was killed is gone with it
        pass


def test_a_lock_is_released_even_if_the_name_of_its_holder_stays(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("read-only")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="read-only"), RunDirectory(tmp_path):
        patch.setattr(pathlib.Path, "unlink", fail)
    with RunDirectory(tmp_path):
        pass


@pytest.mark.fault(10)
def test_a_folder_that_can_not_be_written_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), RunDirectory(tmp_path / "file" / "run"):
        pass


def line(epoch):
    return Record(epoch, epoch * 5, {"loss": 0.5}, {"loss": 0.5, "acc": epoch / 10}), Timing(epoch, 5, 1.0, 0.1)


def test_a_resume_drops_what_was_recorded_after_its_checkpoint(experiment, tmp_path):
    start = experiment().start
    with RunDirectory(tmp_path) as run:
        run.save(5, start)
        for epoch in (1, 2):
            run.record(*line(epoch))
        resumed = run.resume(start)
        assert (resumed.step, resumed.notes) == (5, ["epochs recorded after latest/5, trained again: 1"])
        assert run.records() == [line(1)[0]]
        assert run.timings() == [line(1)[1]]


def test_any_loop_can_use_it(tmp_path):
    """The loop of the module's documentation, stopped twice, with a state of its own kind."""

    def train(num_steps):
        with Interrupt() as interrupt, RunDirectory(tmp_path) as run:
            run.begin({"learning_rate": 0.5, "steps": num_steps}, free=["steps"])
            state, step, notes = run.resume({"weight": jnp.zeros(3)})
            assert notes == []
            while step < num_steps and not interrupt:
                state, step = {"weight": 0.5 * state["weight"] + 1}, step + 1
                if step % 2 == 0:
                    run.save(step, state)
            run.save(step, state)
            return step, np.asarray(state["weight"])

    assert train(3)[0] == 3
    step, weight = train(9)
    assert step == 9
    np.testing.assert_array_equal(weight, np.full(3, 2 - 2 * 0.5**9))
    with pytest.raises(ValueError, match=r"learning_rate: 0\.5 there, 0\.25 now"), RunDirectory(tmp_path) as run:
        run.begin({"learning_rate": 0.25, "steps": 9}, free=["steps"])


def test_a_loop_may_begin_to_name_its_identity_later(tmp_path):
    with RunDirectory(tmp_path) as run:
        run.save(1, {"weight": jnp.zeros(2)})
    for _ in range(2):
        with RunDirectory(tmp_path) as run:
            assert run.begin({"learning_rate": 0.5}) == []


@pytest.mark.fault(14)
def test_a_changed_environment_is_a_warning_with_both_values(tmp_path):
    environment = {"versions": {"jax": "0.9"}, "processor": "one"}
    with RunDirectory(tmp_path) as run:
        assert run.begin({}, environment=environment) == []
        assert run.begin({}, environment=environment) == []
        (warning,) = run.begin({}, environment={"versions": {"jax": "0.10"}, "processor": "one"})
    assert "versions.jax: 0.9 before, 0.10 now" in warning
    assert "processor" not in warning
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [each["versions"]["jax"] for each in manifest["environments"]] == ["0.9", "0.10"]


def test_an_identity_that_is_nan_is_the_same_the_next_time(tmp_path):
    for _ in range(2):
        with RunDirectory(tmp_path) as run:
            assert run.begin({"threshold": float("nan"), "sizes": (1, 2)}) == []
            run.save(1, {"weight": jnp.zeros(2)})
            run.resume({"weight": jnp.zeros(2)})


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"name": "fused"}, {"name": "native", "library": "1"}, "backend.name: fused before, native now"),
        ({"name": "native", "library": "1"}, {"name": "fused"}, "backend.name: native before, fused now"),
        ({"name": "native", "library": "1"}, {"name": "native", "library": "2"}, "backend.library: 1 before, 2 now"),
    ],
)
def test_another_backend_is_a_warning(tmp_path, before, now, told):
    with RunDirectory(tmp_path) as run:
        assert run.begin({}, environment={"backend": before}) == []
        (warning,) = run.begin({}, environment={"backend": now})
        assert told in warning
        assert run.begin({}, environment={"backend": now}) == []


def test_a_run_of_an_earlier_revision_which_names_no_backend_goes_on(tmp_path):
    with RunDirectory(tmp_path) as run:
        assert run.begin({}, environment={"python": "3"}) == []
        assert run.begin({}, environment={"python": "3", "backend": {"name": "native"}}) == []


@pytest.mark.parametrize("argument", ["identity", "environment", "facts"])
def test_what_json_does_not_have_is_refused_by_name(tmp_path, argument):
    arguments = {"identity": {}, argument: {"a": [np.int64(1)]}}
    with RunDirectory(tmp_path) as run, pytest.raises(ValueError, match=f"{argument} must hold only JSON's types"):
        run.begin(**arguments)
    assert not (tmp_path / "manifest.json").exists()
