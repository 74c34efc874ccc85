"""The machine: its processor and cores, and how an experiment starts JAX on it.

Compiler flags are set by programs and never by the library: an unknown flag in XLA_FLAGS aborts the process. They must
be set before JAX's first backend starts, which reads them. Nothing at the top of this module imports JAX, so that
commands which need none of it start at once.
"""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from experiments.cluster import Cluster
from experiments.processes import join

__all__ = [
    "describe_machine",
    "is_out_of_memory",
    "num_cores",
    "set_xla_flags",
    "start_jax",
]

DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"

NVIDIA = Path("/dev/nvidiactl")
"""The file by which programs reach NVIDIA's driver."""

GPU_FLAGS = ("--xla_gpu_enable_command_buffer=+WHILE", "--xla_gpu_command_buffer_unroll_loops=true")
"""Makes a loop over time one graph of CUDA: launching its short kernels one by one takes longer than they do."""

MISCOMPILES = ("0.10.2",)
"""Releases of jaxlib that return wrong numbers for some fused matmuls and sums on a CPU (jax issue 39103)."""


def set_xla_flags(is_deterministic: bool = False) -> None:
    """Appends the compiler flags that this machine and this jaxlib need to XLA_FLAGS; flags that are set stay.

    Args:
        is_deterministic: makes GPUs add up in a fixed order; other platforms always do.

    Raises:
        ValueError: the user's own flags contradict `is_deterministic`.
    """
    present = os.environ.get("XLA_FLAGS", "")
    name = DETERMINISTIC_FLAG.split("=")[0]
    if is_deterministic and any(flag.split("=")[0] == name and flag != DETERMINISTIC_FLAG for flag in present.split()):
        raise ValueError(f"XLA_FLAGS ({present}) contradicts --deterministic: remove {name} from it.")
    flags = _flags() + ([DETERMINISTIC_FLAG] if is_deterministic else [])
    wanted = [flag for flag in flags if flag.split("=")[0] not in present]
    os.environ["XLA_FLAGS"] = " ".join([present, *wanted]).strip()


def _flags() -> list[str]:
    from recurrent.processor import cpuinfo  # here, since its package imports JAX

    flags = []
    if importlib.metadata.version("jaxlib") in MISCOMPILES:
        flags.append("--xla_cpu_experimental_ynn_fusion_type=-reduce")
    if "avx512f" in cpuinfo().get("flags", "").split():
        flags.append("--xla_cpu_prefer_vector_width=512")
    if NVIDIA.exists():
        flags.extend(GPU_FLAGS)
    return flags


def num_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def describe_machine() -> dict[str, Any]:
    """Returns the facts about this machine that results store; JAX and other engines name accelerators themselves."""
    from recurrent.processor import processor_name  # here, since its package imports JAX

    return {
        "processor": processor_name(),
        "cores": num_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def start_jax(
    device: str = "auto",
    num_cpu_devices: int = 1,
    is_float64: bool = False,
    is_deterministic: bool = False,
    cluster: Cluster | None = None,
    keeps_memory: bool = False,
) -> None:
    """Configures JAX and the process's memory for an experiment. Call it before anything is computed.

    Args:
        device: auto, cpu, gpu or tpu.
        num_cpu_devices: the number of devices that JAX makes of the CPU.
        is_float64: allows arrays of float64.
        is_deterministic: see `set_xla_flags`.
        cluster: the processes that this one is one of; it is alone by default.
        keeps_memory: calls `recurrent.native.keep_memory`.

    Raises:
        ValueError: there is no such device, or the other processes are not there.
    """
    set_xla_flags(is_deterministic)
    import jax

    from recurrent.native import keep_memory

    if keeps_memory:
        keep_memory()

    if device != "auto":
        jax.config.update("jax_platforms", {"gpu": "cuda"}.get(device, device))
    jax.config.update("jax_num_cpu_devices", num_cpu_devices)
    jax.config.update("jax_enable_x64", is_float64)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and (folder := _cache_folder()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    if cluster is not None:
        join(cluster)
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter if no plugin for it is installed
        raise ValueError(f"--device {device}: JAX finds no such device here ({_why(device, error)}).") from error


def _cache_folder() -> Path | None:
    """Returns the folder of compiled programs; None if it can't be written, since JAX would warn each time."""
    try:
        folder = Path.home() / ".cache" / "recurrent" / "jax"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter if there is no home folder
        return None
    return folder if os.access(folder, os.W_OK) else None


def _why(device: str, error: Exception) -> str:
    """Returns why there is no such device; if no plugin for it is installed, JAX's error is empty."""
    if text := str(error).strip():
        return text.splitlines()[0].rstrip(".")
    extra = {"gpu": "cuda13", "tpu": "tpu"}.get(device)
    return "no plugin for it is installed" + (f"; run pip install 'recurrent-jax[{extra}]'" if extra else "")


def is_out_of_memory(error: BaseException) -> bool:
    """Says whether an error says that the memory of the host or of a device ran out.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("hidden_size must be at least 1"))
    (True, False)
    """
    text = str(error)
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "Out of memory" in text
