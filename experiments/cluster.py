"""Which processes take part in a run: said by options, or by the variables that `scripts/local_cluster` sets."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ADDRESS", "COUNT", "INDEX", "Cluster", "asked"]

ADDRESS, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"


@dataclass(frozen=True)
class Cluster:
    """The processes of a run, and which of them this one is.

    Args:
        coordinator: where process 0 listens, HOST:PORT; "auto" if Slurm, Kubernetes, MPI or a TPU pod says so.
        num_processes: how many there are.
        process_id: the number of this one, from 0.
        connect_seconds: how long to wait for all of them at the start.
    """

    coordinator: str
    num_processes: int | None = None
    process_id: int | None = None
    connect_seconds: int = 50


def asked(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    connect_seconds: int,
    environment: Mapping[str, str] = os.environ,
) -> Cluster | None:
    """Returns the processes that options or variables ask for; None for this process alone.

    Raises:
        ValueError: a part of the answer is missing, or it contradicts itself.

    >>> asked("10.0.0.1:1234", 2, 0, 60, {}).coordinator
    '10.0.0.1:1234'
    >>> asked(None, None, None, 60, {}) is None
    True
    """
    given = (coordinator, num_processes, process_id)
    if given == (None, None, None) and COUNT in environment:
        coordinator = environment.get(ADDRESS)
        num_processes, process_id = (_number(name, environment) for name in (COUNT, INDEX))
    if coordinator is None and num_processes is None and process_id is None:
        return None
    if connect_seconds < 1:
        raise ValueError(f"--connect-seconds must be at least 1, not {connect_seconds}.")
    if coordinator == "auto":
        return Cluster(coordinator, num_processes, process_id, connect_seconds)
    if coordinator is None or num_processes is None or process_id is None:
        raise ValueError("--coordinator, --num-processes and --process-id go together; or --coordinator auto.")
    if not coordinator.rpartition(":")[0] or not coordinator.rpartition(":")[2].isdigit():
        raise ValueError(f"--coordinator must be HOST:PORT or auto, not {coordinator!r}.")
    if not 0 <= process_id < num_processes:
        raise ValueError(f"--process-id must lie in [0, {num_processes}), not be {process_id}.")
    return Cluster(coordinator, num_processes, process_id, connect_seconds)


def _number(name: str, environment: Mapping[str, str]) -> int:
    value = environment.get(name, "")
    if not value.isdigit():
        raise ValueError(f"The variable {name} must be a number, not {value!r}.")
    return int(value)
