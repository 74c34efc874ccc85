"""Several processes as one run: how an experiment joins them, by `jax.distributed`, and leaves them.

Who takes part is said by a `Cluster`, or by what starts the processes (Slurm, Kubernetes, MPI, a TPU pod), as JAX
detects it.
"""

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from experiments.cluster import Cluster

if TYPE_CHECKING:
    from recurrent.training import Interrupt
    from recurrent.training.processes import Processes

__all__ = ["exit_code", "join", "joined"]

HEARTBEAT_SECONDS = 45
"""After this, JAX itself ends the others of a lost process; `recurrent.training` notices it earlier."""
SHUTDOWN_SECONDS = 20
"""How long the last process waits for one that does not end; all have met before."""


def join(cluster: Cluster) -> None:
    """Starts JAX as one of several processes. Call it before anything is computed.

    Raises:
        ValueError: process 0 is not there in time, or can't listen; names the address. If others are not there in time,
            the process ends with such a message.
    """
    import jax

    deadline = time.monotonic() + cluster.connect_seconds
    address, count, index, own_devices = _detected(cluster) if cluster.coordinator == "auto" else _given(cluster)
    if index:
        _wait_for(address, index, count, cluster.connect_seconds)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # All processes handle a signal at one step: `fit` agrees on that.
    jax.config.update("jax_enable_preemption_service", False)
    # JAX would end this process with a page of its own; it waits longer.
    missing = f"Not all {count} processes came to {address} within {cluster.connect_seconds} s."
    timer = threading.Timer(deadline - time.monotonic(), _end, [missing])
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            address,
            count,
            index,
            own_devices,
            cluster_detection_method="deactivate",
            initialization_timeout=cluster.connect_seconds + 30,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise ValueError(f"Process {index} of {count} can't start at {address} ({text}). Is the port free?") from error
    finally:
        timer.cancel()
    if os.name == "posix":
        _say_when_aborted(address, index, count)


def _given(cluster: Cluster) -> tuple[str, int, int, Any]:
    assert cluster.num_processes is not None
    assert cluster.process_id is not None
    return cluster.coordinator, cluster.num_processes, cluster.process_id, None


def _detected(cluster: Cluster) -> tuple[str, int, int, Any]:
    """Returns address, number of processes, own number and own devices, as JAX detects them."""
    from jax._src.clusters import ClusterEnv

    address, count, index, devices = ClusterEnv.auto_detect_unset_distributed_params(
        None, cluster.num_processes, cluster.process_id, None, None, cluster.connect_seconds
    )
    if address is None or count is None or index is None:
        raise ValueError(
            "--coordinator auto: neither Slurm, Kubernetes, MPI nor a TPU pod says which processes take part. Give "
            "--coordinator HOST:PORT, --num-processes and --process-id."
        )
    return address, count, index, devices


def _wait_for(address: str, index: int, count: int, seconds: int) -> None:
    """Waits until process 0 listens."""
    host, _, port = address.rpartition(":")
    deadline, reason = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            reason = str(error)
        time.sleep(0.2)
    raise ValueError(
        f"Process {index} of {count} found no process 0 at {address} within {seconds} s ({reason}). Is it started, and "
        "can its port be reached from here?"
    )


def _say_when_aborted(address: str, index: int, count: int) -> None:
    """Adds a line when JAX aborts this process since another one is gone; above all process 0, whose store all need.

    Python's own handlers never run then: the abort does not return to the interpreter.
    """

    def say(number: int) -> None:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
        except OSError:
            if index:
                _end(f"Process 0 of {count}, at {address}, is gone. Start all processes again to resume.")
        reason = f"JAX has aborted process {index} of {count}, as it does when another process is gone."
        _end(f"{reason} Start all processes again to resume.", 128 + signal.SIGABRT)

    _handlers.append(ctypes.CFUNCTYPE(None, ctypes.c_int)(say))
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    library.signal(signal.SIGABRT, ctypes.cast(_handlers[-1], ctypes.c_void_p))


_handlers: list[Any] = []  # kept, since C holds their addresses


def _end(text: str, code: int = 1) -> None:
    os.write(2, f"{text}\n".encode())
    os._exit(code)


@contextlib.contextmanager
def joined() -> Iterator["Processes"]:
    """Yields the processes of the run; they leave together if the block ends without an error.

    A process that ends with an error does not wait for the others, who notice it.
    """
    from recurrent.training.processes import current

    processes, code = current(), 1

    def end_at_once() -> None:
        processes.end()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    if processes.count == 1:
        yield processes
        return
    atexit.register(end_at_once)
    try:
        yield processes
        processes.leave()
    except KeyboardInterrupt:
        code = 130
        raise
    atexit.unregister(end_at_once)


def exit_code(processes: "Processes", interrupt: "Interrupt") -> int:
    """Returns the exit code of all processes: that of a signal, even if only one of them got it."""
    codes = processes.collect("exit code", interrupt.exit_code)
    return processes.led("exit code", lambda: max(codes))
