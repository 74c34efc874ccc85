"""Runs a command in several processes on this machine, which `jax.distributed` joins over the loopback address.

    scripts/local_cluster N -- COMMAND

Each process finds the coordinator's address, the number of processes and its own number in its environment. Lines of
output begin with the process's number. When a process fails, the others get time to end by themselves, and are then
stopped. The exit code is that of the first one that failed.
"""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import BinaryIO

from experiments.cluster import ADDRESS, COUNT, INDEX
from experiments.command_line import respond, start

__all__ = ["free_port", "run_cluster"]

GRACE_SECONDS = 30.0
"""How long the others may go on after one has failed: `recurrent.training` notices it within this time."""
KILL_SECONDS = 10.0
"""How long a process may take to end after SIGTERM, once one has failed."""
_POLL_SECONDS = 0.05


def free_port() -> int:
    """Returns a port of the loopback address that nothing listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_cluster(
    count: int,
    command: Sequence[str],
    output: BinaryIO,
    grace_seconds: float = GRACE_SECONDS,
    kill_seconds: float = KILL_SECONDS,
) -> int:
    """Runs a command in several processes and returns the exit code of the first that failed, else 0.

    A SIGTERM or SIGINT to this process is passed on to each of them, and to what they have started.

    Args:
        count: the number of processes.
        command: what each one runs.
        output: where their lines go, standard output and errors alike.
        grace_seconds: from a failure to SIGTERM for the others.
        kill_seconds: from there to SIGKILL.

    Raises:
        ValueError: there is no process to run.
        OSError: the command can't be started.
    """
    if count < 1:
        raise ValueError(f"The number of processes must be at least 1, not {count}.")
    address, lock = f"127.0.0.1:{free_port()}", threading.Lock()
    processes: list[subprocess.Popen[bytes]] = []
    threads = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in processes:
            if process.poll() is None:
                _signal(process, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for index in range(count):
            environment = {**os.environ, ADDRESS: address, COUNT: str(count), INDEX: str(index)}
            # In a session of its own, or a terminal's Ctrl-C would come twice; its group has all that it starts.
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            processes.append(process)
            threads.append(threading.Thread(target=_copy_lines, args=(index, process, output, lock), daemon=True))
            threads[-1].start()
        return _wait(processes, output, lock, grace_seconds, kill_seconds)
    finally:
        for process in processes:
            if process.poll() is None:
                _signal(process, signal.SIGKILL)
            process.wait()
        for process, thread in zip(processes, threads, strict=False):
            thread.join(timeout=kill_seconds)
            if thread.is_alive():  # what it started goes on, and holds its output
                _signal(process, signal.SIGKILL)
                thread.join(timeout=5)
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(
    processes: Sequence[subprocess.Popen[bytes]],
    output: BinaryIO,
    lock: threading.Lock,
    grace_seconds: float,
    kill_seconds: float,
) -> int:
    """Waits for all processes; ends those that go on after one has failed."""
    first, since, is_told = 0, 0.0, False
    while None in [process.poll() for process in processes]:  # all are asked
        failed = [(index, process) for index, process in enumerate(processes) if process.returncode]
        if failed and not first:
            (index, process), since = failed[0], time.monotonic()
            first = process.returncode
            _write_line(output, lock, f"process {index} ended with {_in_words(first)}".encode())
        if first and not is_told and time.monotonic() > since + grace_seconds:
            is_told = True
            for process in processes:
                if process.poll() is None:
                    _signal(process, signal.SIGTERM)
        if is_told and time.monotonic() > since + grace_seconds + kill_seconds:
            for process in processes:
                if process.poll() is None:
                    _signal(process, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    code = first or next((process.returncode for process in processes if process.returncode), 0)
    return 128 - code if code < 0 else code


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Sends a signal to a process and to what it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _copy_lines(index: int, process: subprocess.Popen[bytes], output: BinaryIO, lock: threading.Lock) -> None:
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            _write_line(output, lock, f"[{index}] ".encode() + line.rstrip(b"\n"))


def _write_line(output: BinaryIO, lock: threading.Lock, line: bytes) -> None:
    with lock:
        output.write(line + b"\n")
        output.flush()


def _in_words(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name


def main(arguments: Sequence[str]) -> int:
    """Reads N -- COMMAND, and returns the exit code."""
    if list(arguments) in (["--help"], ["-h"]):
        print((__doc__ or "").strip())
        return 0
    count, separator, command = (arguments[0], arguments[1:2], list(arguments[2:])) if arguments else ("", [], [])
    if not count.isdigit() or list(separator) != ["--"] or not command:
        raise ValueError(f"usage: scripts/local_cluster N -- COMMAND, not {shlex.join(arguments)!r}.")
    return run_cluster(int(count), command, sys.stdout.buffer)


if __name__ == "__main__":
    start(lambda arguments: respond("local_cluster", lambda: main(arguments)))
