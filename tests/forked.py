"""Processes that begin where Python's imports end: a server imports once, and forks at each call.

Importing JAX, Flax, Orbax and TensorFlow Datasets takes a process more time than most commands of a test. What is
forked is an ordinary process otherwise: it has its own arguments, environment, folder, pipes and exit code, and can be
killed. The server holds no JAX device, so a process starts JAX for itself.

    process = forked.Popen([sys.executable, "-m", "experiments.imdb", "doctor", path], stdout=subprocess.PIPE)
"""

import atexit
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

ROOT = Path(__file__).parents[1]
PRELOADED = (
    "experiments.imdb.answers.page",
    "experiments.imdb.commands",
    "experiments.imdb.commands.show.answers",
    "experiments.imdb.commands.show.explanation",
    "experiments.imdb.commands.show.training",
    "experiments.imdb.report.write",
    "experiments.imdb.reviews.dataset",
    "experiments.imdb.reviews.prepared",
    "experiments.imdb.runs.doctor",
    "experiments.imdb.runs.open",
    "experiments.imdb.runs.start",
    "experiments.imdb.serving.server",
    "experiments.imdb.training.train",
    "experiments.names",
    "jax.scipy.linalg",
    "matplotlib.backends.backend_svg",
    "matplotlib.pyplot",
    "scipy.stats",
    "tests.training.conftest",
)
PR_SET_CHILD_SUBREAPER = 36
START = subprocess.Popen  # a test may put the class below in its place


class Popen(subprocess.Popen):
    """A `subprocess.Popen` of `python -m MODULE` or `python -c CODE` without the imports, where that can be."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest: Any) -> None:
        environment = dict(os.environ if env is None else env)
        if not _can_be_forked(args, environment):
            super()._execute_child(args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest)
            return
        (child_in, parent_in, parent_out, child_out, parent_error, child_error) = rest[3:9]
        pipes = [own if own != -1 else theirs for own, theirs in ((child_in, 0), (child_out, 1), (child_error, 2))]
        request = {"arguments": list(map(str, args[1:])), "folder": str(cwd or Path.cwd()), "environment": environment}
        self.pid = _ask(request, pipes)
        self._child_created = True
        self._close_pipe_fds(child_in, parent_in, parent_out, child_out, parent_error, child_error)


def run(command: list[Any], **options: Any) -> subprocess.CompletedProcess:
    """Runs such a process to its end, as `subprocess.run(command, capture_output=True, text=True)` does."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Popen(command, **pipes, **options) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _can_be_forked(command: Any, environment: dict[str, str]) -> bool:
    """Says whether a command would find nothing in its environment that Python or JAX reads as they are imported."""
    is_python = command[0] == sys.executable and command[1] in ("-m", "-c")
    changed = [name for name in {*environment, *os.environ} if environment.get(name) != os.environ.get(name)]
    read_once = [name for name in changed if name.startswith(("PYTHON", "JAX_")) and name not in SETTABLE]
    return sys.platform == "linux" and is_python and not read_once


CACHE_OPTIONS = {"JAX_COMPILATION_CACHE_DIR": str, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": float}
SETTABLE = ("PYTHONPATH", *CACHE_OPTIONS)  # the server's own path is the checkout's


def _ask(request: dict[str, Any], pipes: list[int]) -> int:
    """Has a process forked, and returns its number; it is this process' child then, which alone may wait for it."""
    connection = _server()
    content = json.dumps(request).encode()
    socket.send_fds(connection, [len(content).to_bytes(8)], pipes)
    connection.sendall(content)
    return int.from_bytes(_receive(connection, 8))


@functools.cache
def _server() -> socket.socket:
    """Starts the server, which ends with this process."""
    # A process whose parent ends becomes the child of this one, not of the machine's first process.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = socket.socketpair()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
    server = START(command, pass_fds=[theirs.fileno()], cwd=ROOT, env=environment)
    theirs.close()
    atexit.register(server.wait)
    atexit.register(ours.close)  # called first
    return ours


def _receive(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        if not (part := connection.recv(size - len(content))):
            raise EOFError
        content += part
    return content


def _serve(connection: socket.socket) -> dict[str, Any]:
    """Forks at each request; returns in the new processes alone."""
    while True:
        try:
            size, pipes, *_ = socket.recv_fds(connection, 8, 3)
            if not size:
                raise EOFError
            request = json.loads(_receive(connection, int.from_bytes(size)))
        except EOFError:
            os._exit(0)
        reading, writing = os.pipe()
        if between := os.fork():
            os.close(writing)
            for pipe in pipes:
                os.close(pipe)
            os.waitpid(between, 0)
            connection.sendall(os.read(reading, 8))
            os.close(reading)
            continue
        if number := os.fork():  # the process between ends at once, and leaves the new one to the one that asked
            os.write(writing, number.to_bytes(8))
            os._exit(0)
        os.close(reading)
        os.close(writing)
        connection.close()
        for number, pipe in enumerate(pipes):
            os.dup2(pipe, number)
            os.close(pipe)
        return request


def _become(request: dict[str, Any]) -> None:
    """Takes over environment and folder, and runs the module or the code."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    for name, read in CACHE_OPTIONS.items():
        if name in os.environ:
            jax.config.update(name.lower(), read(os.environ[name]))
    option, program, *arguments = request["arguments"]
    sys.path[0] = request["folder"]
    if option == "-m":
        sys.argv = [program, *arguments]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *arguments]
        exec(program, {"__name__": "__main__"})


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # what was imported is not looked through again in each process
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
