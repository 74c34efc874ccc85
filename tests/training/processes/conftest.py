"""The tiny experiment in two processes of one device each."""

import subprocess

import pytest

from experiments.local_cluster import free_port


@pytest.fixture(scope="session")
def start_two(child):
    """Starts two processes: arguments for both, and for each alone."""

    def start(path, *arguments, first=(), second=()):
        joined = [f"--coordinator=127.0.0.1:{free_port()}", "--num-processes=2", "--devices=1", "--silence-seconds=6"]
        own = ([*first, "--process-id=0"], [*second, "--process-id=1"])
        return [child(path, *joined, *arguments, *each, stderr=subprocess.STDOUT) for each in own]

    return start


@pytest.fixture(scope="session")
def end_two():
    """Waits for two processes: (exit codes, outputs)."""

    def end(processes, timeout=60):
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
        return tuple(process.returncode for process in processes), outputs

    return end


@pytest.fixture(scope="session")
def train_two(start_two, end_two):
    """Runs two processes to their end."""
    return lambda *arguments, **options: end_two(start_two(*arguments, **options))
