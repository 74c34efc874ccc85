"""Building the library for this machine's GPUs into a cache, as the native backend's is."""

import platform
from pathlib import Path

import jaxlib

from recurrent.backends.cuda.compiler import FLAGS, architectures, compile_library, find_compiler, is_named, sources
from recurrent.backends.native.build import build_into, cache_folder, key_of

__all__ = ["build", "folder_of_builds", "key"]


def build(compiler: str | None = None) -> Path:
    """Compiles the cuda backend's library for this machine's GPUs, unless the cache has it; returns its path.

    Args:
        compiler: NVIDIA's compiler; the environment variable NVCC, or the first `nvcc` that is found by default.

    Raises:
        BuildError: there is no compiler, it fails, or the cache cannot be written.
    """
    return build_into(folder_of_builds() / key(), is_named(compiler), lambda: find_compiler(compiler), compile_library)


def folder_of_builds() -> Path:
    """Returns the folder of all builds: ``recurrent/cuda`` in the user's cache folder.

    Raises:
        BuildError: the user has no home folder.
    """
    return cache_folder("cuda")


def key() -> str:
    """Returns what a library of this machine is found by."""
    return key_of(sources(), (*FLAGS, jaxlib.__version__, platform.machine(), *architectures()))
