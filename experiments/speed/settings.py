"""The environment of a contestant's process: the settings that its library's documentation advises for a CPU.

PyTorch's performance tuning guide advises one OpenMP thread for each core, bound to it, a static schedule, and an
allocator that reuses memory: TCMalloc or jemalloc. TensorFlow's pages advise the same allocators. Where neither is
installed, glibc's allocator is told to keep memory, too. Variables that are set already stay.
"""

import ctypes.util
import os
from collections.abc import Mapping

from experiments.machine import num_cores
from experiments.speed.contestants import CONTESTANTS
from experiments.speed.devices import Engine
from experiments.speed.task import Task

__all__ = ["EVERY", "allocator", "environment"]

EVERY = {
    # Contestants share one accelerator, so none may take all of its memory before the others start.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
_ALLOCATORS = {
    "tcmalloc": {},
    "tcmalloc_minimal": {},
    "jemalloc": {"MALLOC_CONF": "oversize_threshold:1,background_thread:true,metadata_thp:auto"},
}
_KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_ARENA_MAX": "1"}
"""glibc neither maps large arrays one by one nor returns their memory, on whichever thread (`kept_memory.py`)."""


def environment(name: str, task: Task, before: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a contestant's process, given that of this one."""
    engine = CONTESTANTS[name].engine if name in CONTESTANTS else "jax"
    changed = {**before, **EVERY}
    if engine == "tensorflow" or task.start == "default":
        changed.pop("XLA_FLAGS", None)  # flags of JAX's XLA; TensorFlow's XLA aborts on flags that it does not know
    if task.start == "default":
        changed.pop("JAX_NUM_CPU_DEVICES", None)
    return {**_advised(engine), **changed}


def _advised(engine: Engine) -> dict[str, str]:
    if engine == "jax":
        return {}
    threads = {"OMP_NUM_THREADS": str(num_cores()), "OMP_SCHEDULE": "STATIC", "OMP_PROC_BIND": "CLOSE"}
    return (threads if engine == "torch" else {}) | _memory()


def _memory() -> dict[str, str]:
    for name, settings in _ALLOCATORS.items():
        if library := ctypes.util.find_library(name):
            return {"LD_PRELOAD": library, **settings}
    return _KEEP_MEMORY


def allocator() -> str:
    """Returns the allocator of this process in words."""
    preloaded = os.environ.get("LD_PRELOAD", "")
    for name in ("tcmalloc", "jemalloc"):
        if name in preloaded:
            return name
    return (
        "glibc's allocator, which keeps memory"
        if os.environ.get("MALLOC_TRIM_THRESHOLD_")
        else "the system's allocator"
    )
