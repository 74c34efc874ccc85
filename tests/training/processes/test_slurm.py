"""scripts/slurm.sbatch on a real Slurm of one node."""

import sys
import time
from pathlib import Path

import pytest

from experiments.imdb.runs.soak import compare_runs, newest_step
from tests.training.conftest import make_experiment
from tests.training.processes import slurm

ROOT = Path(__file__).parents[3]
NUM_STEPS = 200

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(slurm.missing()), reason=f"Slurm is not installed: {', '.join(slurm.missing())}"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm.cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


@pytest.fixture
def submit(cluster, child_environment, tmp_path):
    """Submits the script with the tiny experiment in place of the reviews'."""
    train = f"{sys.executable} -m tests.training.child"
    cluster.environment.update(child_environment | {"TRAIN": train, "PATH": cluster.environment["PATH"]})

    def start(*arguments):
        where = ["--nodes=1", "--ntasks-per-node=2", f"--output={tmp_path / 'output'}"]
        command = ["sbatch", "--parsable", *where, str(ROOT / "scripts" / "slurm.sbatch")]
        return cluster.ask(*command, str(tmp_path / "run"), "--devices=1", *arguments, cwd=ROOT).strip()

    return start


def wait_for_step(folder, step, seconds=60):
    deadline = time.monotonic() + seconds
    while newest_step(folder / "run") < step:
        assert time.monotonic() < deadline, (folder / "output").read_text()
        time.sleep(0.02)


@pytest.mark.fault(6)
def test_a_job_that_is_stopped_and_requeued_ends_with_the_same_bytes(cluster, submit, train_child, tmp_path):
    job = submit("--epochs=40")
    wait_for_step(tmp_path, 5)
    cluster.ask("scancel", "--signal=TERM", job)  # what --signal sends before the time limit: to the tasks alone
    cluster.wait(job, "PENDING", 30)
    first = newest_step(tmp_path / "run")
    wait_for_step(tmp_path, first + 5)
    cluster.ask("scontrol", "requeue", job)
    cluster.wait(job, "PENDING", 30)
    second = newest_step(tmp_path / "run")
    cluster.wait(job, "COMPLETED", 120)
    assert 5 <= first < second < newest_step(tmp_path / "run") == NUM_STEPS
    output = (tmp_path / "output").read_text()
    assert f"job {job}: saved; back to the queue" in output
    assert train_child(tmp_path / "whole", "--epochs=40", "--save-every=1000")[0] == 0
    assert compare_runs(tmp_path / "whole", tmp_path / "run", make_experiment().start) == []
