"""The launcher of processes on one machine, with commands that start in a moment."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from experiments import local_cluster, processes
from experiments.cluster import Cluster, asked
from experiments.local_cluster import run_cluster

ROOT = Path(__file__).parents[1]
SAY = 'echo "$JAX_PROCESS_ID of $JAX_NUM_PROCESSES at $JAX_COORDINATOR_ADDRESS"; echo ready >&2'


def run(count, script, **seconds):
    output = io.BytesIO()
    code = run_cluster(count, ["sh", "-c", script], output, **seconds)
    return code, output.getvalue().decode().splitlines()


def test_each_process_is_told_its_number_and_its_lines_begin_with_it():
    code, lines = run(3, SAY)
    assert code == 0
    assert sorted(line for line in lines if line.endswith("ready")) == ["[0] ready", "[1] ready", "[2] ready"]
    addresses = {line.partition(" at ")[2] for line in lines if " of 3 at " in line}
    assert len(addresses) == 1
    assert addresses.pop().startswith("127.0.0.1:")
    assert {line.partition(" at ")[0] for line in lines if " at " in line} == {"[0] 0 of 3", "[1] 1 of 3", "[2] 2 of 3"}


def test_when_one_fails_the_others_end_and_its_exit_code_is_returned():
    start = time.monotonic()
    code, lines = run(2, '[ "$JAX_PROCESS_ID" = 1 ] && exit 7; exec sleep 60', grace_seconds=0.2)
    assert code == 7
    assert lines == ["process 1 ended with exit code 7"]
    assert time.monotonic() - start < 10


def test_a_process_that_heeds_no_signal_is_killed():
    script = '[ "$JAX_PROCESS_ID" = 0 ] && kill -9 $$; trap "" TERM; while true; do sleep 0.1; done'
    code, lines = run(2, script, grace_seconds=0.1, kill_seconds=0.3)
    assert code == 128 + signal.SIGKILL
    assert lines == ["process 0 ended with SIGKILL"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on_once(number):
    script = 'trap "echo stopped; exit 3" TERM INT; echo ready; while true; do sleep 0.05; done'
    command = [sys.executable, "-m", "experiments.local_cluster", "2", "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}) as process:
        ready = {process.stdout.readline() for _ in range(2)}
        assert ready == {"[0] ready\n", "[1] ready\n"}
        process.send_signal(number)
        rest = process.communicate(timeout=20)[0].splitlines()
    assert process.returncode == 3
    assert sorted(line for line in rest if "stopped" in line) == ["[0] stopped", "[1] stopped"]


def test_what_a_process_has_started_gets_signals_and_ends_too():
    inner = 'trap "echo inner stopped; exit 0" TERM; echo ready; while true; do sleep 0.05; done'
    script = f"sh -c '{inner}' & wait; sleep 60"
    command = [sys.executable, "-m", "experiments.local_cluster", "1", "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}) as process:
        assert process.stdout.readline() == "[0] ready\n"
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=20)[0].splitlines()
    assert process.returncode == 128 + signal.SIGTERM
    assert "[0] inner stopped" in rest


def test_what_a_process_leaves_behind_is_killed():
    start = time.monotonic()
    assert run(1, "sleep 60 & echo done", kill_seconds=0.3) == (0, ["[0] done"])
    assert time.monotonic() - start < 10


def test_a_command_that_is_not_there_and_wrong_usage_are_errors():
    with pytest.raises(FileNotFoundError):
        run_cluster(2, ["no-such-command"], io.BytesIO())
    for arguments in ([], ["2"], ["two", "--", "true"], ["2", "true"], ["2", "--"]):
        with pytest.raises(ValueError, match="usage: scripts/local_cluster N -- COMMAND"):
            local_cluster.main(arguments)
    with pytest.raises(ValueError, match="at least 1"):
        run_cluster(0, ["true"], io.BytesIO())
    assert threading.active_count() < 50


def test_options_or_variables_say_which_processes_take_part():
    variables = {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}
    assert asked(None, None, None, 60, {}) is None
    assert asked(None, None, None, 60, {"JAX_COORDINATOR_ADDRESS": "a:1", "SLURM_NTASKS": "2"}) is None
    assert asked(None, None, None, 60, variables) == Cluster("a:1", 2, 1, 60)
    assert asked("b:2", 3, 0, 9, variables) == Cluster("b:2", 3, 0, 9)
    assert asked("auto", None, None, 9, {}) == Cluster("auto", None, None, 9)


def test_slurm_says_who_takes_part_where_that_is_asked(monkeypatch):
    of_slurm = {"JOB_ID": "7", "STEP_NODELIST": "node[03,07-9]", "NTASKS": "4", "PROCID": "2", "LOCALID": "0"}
    for name, value in of_slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    address, count, index, own_devices = processes._detected(Cluster("auto"))
    assert (address.partition(":")[0], count, index, own_devices) == ("node03", 4, 2, [0])
    monkeypatch.delenv("SLURM_PROCID")
    with pytest.raises(ValueError, match="neither Slurm, Kubernetes, MPI nor a TPU pod says"):
        processes._detected(Cluster("auto"))


@pytest.mark.parametrize(
    ("given", "variables", "message"),
    [
        (("a:1", 2, None, 60), {}, "go together"),
        ((None, 2, 0, 60), {}, "go together"),
        (("a", 2, 0, 60), {}, "HOST:PORT or auto"),
        (("a:1", 2, 2, 60), {}, r"--process-id must lie in \[0, 2\)"),
        (("a:1", 2, 0, 0), {}, "--connect-seconds"),
        ((None, None, None, 60), {"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES must be a number"),
        ((None, None, None, 60), {"JAX_NUM_PROCESSES": "2"}, "JAX_PROCESS_ID must be a number"),
    ],
)
def test_half_an_answer_is_refused(given, variables, message):
    with pytest.raises(ValueError, match=message):
        asked(*given, variables)
