"""The device that an engine computes on: its name, and the peak memory of a piece of work.

On an accelerator, the engine's own allocator reports memory, without the compiler's and Python's. On a CPU, it is the
process's resident memory, whose peak Linux can reset.
"""

import ctypes
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from experiments.resident_memory import peak_bytes, resident_bytes

__all__ = ["Engine", "Memory", "device_name", "engine_version", "measure_memory"]

Engine = Literal["jax", "torch", "tensorflow"]


class Memory(NamedTuple):
    """Peaks in bytes, above what the process held before any work, unless stated otherwise."""

    memory_bytes: int  # of the second run, so that nothing is compiled
    first_memory_bytes: int  # of the first run, including compilation
    step_memory_bytes: int  # as memory_bytes, but above what the first run left, such as compiled code and threads


def device_name(engine: Engine) -> str:
    """Returns the name of the accelerator, or cpu."""
    library: Any = importlib.import_module(engine)
    if engine == "torch":
        return library.cuda.get_device_name() if library.cuda.is_available() else "cpu"
    if engine == "jax":
        return library.local_devices()[0].device_kind
    devices = library.config.list_physical_devices("GPU")
    return library.config.experimental.get_device_details(devices[0])["device_name"] if devices else "cpu"


def engine_version(engine: Engine) -> str:
    """Returns the version of an engine that is loaded."""
    return str(importlib.import_module(engine).__version__)


def measure_memory(engine: Engine, first: Callable[[], Any], again: Callable[[], Any]) -> Memory:
    """Runs two pieces of work, and measures the peak memory of each."""
    meter = _meter(engine)
    before, peaks = [], []
    for work in (first, again):
        meter.reset()  # freed memory does not count as in use
        before.append(meter.in_use())
        work()
        peaks.append(meter.peak())
    return Memory(
        memory_bytes=max(0, peaks[1] - before[0]),
        first_memory_bytes=max(0, peaks[0] - before[0]),
        step_memory_bytes=max(0, peaks[1] - before[1]),
    )


class _Meter(NamedTuple):
    in_use: Callable[[], int]
    reset: Callable[[], None]  # resets the peak to what is in use, where possible
    peak: Callable[[], int]


def _meter(engine: Engine) -> _Meter:
    if device_name(engine) == "cpu":
        return _Meter(lambda: resident_bytes() or 0, _reset_resident, lambda: peak_bytes() or 0)
    library: Any = importlib.import_module(engine)
    if engine == "torch":
        cuda = library.cuda
        return _Meter(cuda.memory_allocated, cuda.reset_peak_memory_stats, cuda.max_memory_allocated)
    if engine == "jax":  # JAX can't reset its peak: that of the first work counts in the second's too
        stats = library.local_devices()[0].memory_stats
        return _Meter(lambda: stats()["bytes_in_use"], lambda: None, lambda: stats()["peak_bytes_in_use"])
    memory = library.config.experimental
    return _Meter(
        lambda: memory.get_memory_info("GPU:0")["current"],
        lambda: memory.reset_memory_stats("GPU:0"),
        lambda: memory.get_memory_info("GPU:0")["peak"],
    )


def _reset_resident() -> None:
    """Returns freed memory, such as the compiler's, to the kernel, and resets the peak to what is left."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
