"""A state that is split over two processes: saved by both, restored in both, in one, and after a kill."""

import shutil
import subprocess
import sys
import time
from collections import Counter

import jax
import numpy as np
import pytest
import tensorstore

from experiments.imdb.runs.soak import compare_runs
from experiments.local_cluster import free_port
from recurrent.training import RunDirectory
from recurrent.training.checkpoints.hashes import Corrupt
from tests import forked
from tests.training.test_signals import listen
from tests.training.wide import make_experiment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def start(child_environment):
    """Starts processes, one for each list of arguments, whose first one is the run's folder."""

    def start(*each):
        port = free_port()
        joined = [f"--coordinator=127.0.0.1:{port}", f"--num-processes={len(each)}"] if len(each) > 1 else []
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        commands = [
            [sys.executable, "-m", "tests.training.wide", *map(str, arguments), f"--devices={8 // len(each)}", *joined]
            + ([f"--process-id={index}"] if joined else [])
            for index, arguments in enumerate(each)
        ]
        return [forked.Popen(command, env=child_environment, **pipes) for command in commands]

    return start


@pytest.fixture(scope="module")
def train(start):
    """Runs processes to their end: (exit codes, outputs)."""

    def train(*each):
        processes = start(*each)
        outputs = [process.communicate(timeout=300)[0] for process in processes]
        return tuple(process.returncode for process in processes), outputs

    return train


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """A run of two processes that nothing happened to. The model axis goes through both."""
    path = tmp_path_factory.mktemp("parts") / "whole"
    codes, outputs = train([path], [path])
    assert codes == (0, 0), outputs
    return path


def losses(path):
    return [[each.training["loss"], each.validation["loss"]] for each in RunDirectory(path).records()]


@pytest.mark.fault(28)
def test_a_split_state_survives_the_loss_of_a_process_bitwise(start, train, whole, tmp_path):
    processes = start([tmp_path], [tmp_path])
    for _ in range(4):
        listen(processes[1], "event")
    processes[1].kill()
    started = time.monotonic()
    output = processes[0].communicate(timeout=60)[0]
    processes[1].communicate()
    assert processes[0].returncode == 1
    assert time.monotonic() - started < 60
    assert "process 1 of 2" in output
    codes, outputs = train([tmp_path], [tmp_path])
    assert codes == (0, 0), outputs
    # Read by this process, which has two devices, as whole arrays.
    assert compare_runs(whole, tmp_path, make_experiment("whole").start) == []


def test_each_process_writes_its_own_part_and_every_byte_is_sealed(whole):
    checkpoints = RunDirectory(whole).latest
    step = checkpoints.sealed_steps()[-1]
    files = checkpoints.check(step).files
    assert {name.split("/")[0] for name in files} >= {"ocdbt.process_0", "ocdbt.process_1"}
    first, second = (chunks_of(checkpoints.path(step) / f"ocdbt.process_{index}") for index in range(2))
    split = {leaf for leaf, _ in second}
    assert set(first).isdisjoint(second)
    # Each has half of the parts of the split arrays, which are the params and their second moments.
    halves = [Counter(leaf for leaf, _ in each if leaf in split) for each in (first, second)]
    assert halves[0] == halves[1]
    state = make_experiment("whole").start
    num_leaves, num_params = (len(jax.tree.leaves(tree)) for tree in (state, state.params))
    assert (len({leaf for leaf, _ in first}), len(split), set(halves[0].values())) == (num_leaves, 2 * num_params, {4})


def chunks_of(folder):
    """The chunks that a process wrote: (leaf, place)."""
    at = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}}
    keys = [key.decode().split("/") for key in tensorstore.KvStore.open(at).result().list().result()]
    return [(leaf, place) for leaf, place in keys if place != ".zarray"]


@pytest.mark.fault(4)
def test_damage_to_the_part_of_any_process_is_found(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    checkpoints = RunDirectory(tmp_path / "run").latest
    step = checkpoints.sealed_steps()[-1]
    for index in range(2):
        file = next(checkpoints.path(step).glob(f"ocdbt.process_{index}/d/*"))
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(Corrupt, match=f"ocdbt.process_{index}/d/.* was changed"):
            checkpoints.check(step)
        file.write_bytes(content)
    checkpoints.check(step)


@pytest.mark.fault(13)
def test_one_process_continues_what_two_have_split_and_the_other_way_round(train, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    codes, outputs = train([tmp_path / "run", "--epochs=4"])
    assert codes == (0,), outputs
    codes, outputs = train(*[[tmp_path / "run", "--epochs=5", "--read"]] * 2)
    assert codes == (0, 0), outputs
    codes, outputs = train([tmp_path / "alone", "--epochs=5"])
    assert codes == (0,), outputs
    assert losses(tmp_path / "run")[:3] == losses(whole)
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(tmp_path / "alone"), rtol=1e-5)


def test_a_folder_that_is_not_shared_is_named(train, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    codes, outputs = train([tmp_path / "run"], [tmp_path / "other"])
    assert codes == (1, 1)
    assert "is not what process 0 sees: a state that is split over processes needs a folder that" in outputs[1]
    assert "process 1 of 2" in outputs[0]


@pytest.mark.fault(31)
def test_a_disk_that_is_full_costs_nothing_that_was_saved(train, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    path = tmp_path / "run"
    codes, outputs = train([path, "--epochs=4", "--full-disk"], [path, "--epochs=4"])
    assert codes == (1, 1)
    for output in outputs:
        assert "could not be saved: No space left on device. Earlier checkpoints are intact." in output
    started = time.monotonic()
    codes, outputs = train([path, "--epochs=4"], [path, "--epochs=4", "--no-write"])
    assert codes == (1, 1)
    assert time.monotonic() - started < 60
    assert "could not be saved: No space left on device" in outputs[1]
    assert "could not be saved: No space left on device" in outputs[0]
    assert compare_runs(whole, path, make_experiment("whole").start) == []
