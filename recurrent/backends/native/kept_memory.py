"""Memory that is kept by the process that freed it.

XLA allocates the temporary arrays of a program at each call. By default glibc hands large arrays back to the kernel,
which clears each page of the next ones.
"""

import ctypes
import os

__all__ = ["keep_memory"]

_MMAP_MAX, _TRIM_THRESHOLD, _ARENA_MAX = -4, -1, -8
"""The numbers of `mallopt`'s parameters in glibc's malloc.h."""


def keep_memory() -> bool:
    """Makes this process keep the memory that it frees; returns whether glibc takes the settings.

    Call it once at the start of a program whose large arrays are those of the native backend, before JAX computes
    anything: XLA allocates them anew at each call, and by default the operating system clears every page of them. With
    memory kept, a training step took 0.7 to 0.85 of its time. The process keeps its peak of memory, and programs of
    many small kernels, such as those of the fused backend, become slower.

    Arrays come from one heap, since the heaps of single threads cannot grow beyond 64 MB. Where the environment sets up
    the allocator (a variable that begins with MALLOC_, or GLIBC_TUNABLES), and without glibc, nothing changes.

    >>> import recurrent.native
    >>> is_kept = recurrent.native.keep_memory()  # doctest: +SKIP
    """
    if os.environ.get("GLIBC_TUNABLES") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    parameters = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _ARENA_MAX: 1}
    return all([mallopt(number, value) == 1 for number, value in parameters.items()])
