"""NVIDIA's compiler: which one, its flags, and for which GPUs it compiles."""

import os
import sysconfig
from pathlib import Path

import jax

from recurrent.backends.native import compiler as native
from recurrent.backends.native.compiler import Kind, compile_with, find_compiler_of

__all__ = ["FLAGS", "architectures", "compile_library", "find_compiler", "is_named", "sources"]

SOURCE = Path(__file__).parent / "source"
FLAGS = ("-std=c++20", "-O3", "-shared", "-Xcompiler=-fPIC,-fvisibility=hidden", "-cudart=static")


def sources() -> list[Path]:
    """Returns the files that a build depends on."""
    return [*sorted(SOURCE.iterdir()), native.SOURCE / "arrays.h"]


def folders() -> list[Path]:
    """Returns where CUDA's toolkit is looked for, last from pip."""
    from_pip = (Path(sysconfig.get_path("platlib")) / "nvidia").glob("cu*")
    return [Path("/usr/local/cuda"), *sorted(from_pip, reverse=True)]


def _kind() -> Kind:
    toolkits = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    candidates = [str(folder / "bin" / "nvcc") for folder in (*map(Path, toolkits), *folders())]
    programs = ("nvcc", *filter(os.path.exists, candidates))
    return Kind("CUDA compiler", "NVCC", programs, "Install NVIDIA's CUDA toolkit of version 12 or later, or set NVCC.")


def is_named(compiler: str | None) -> bool:
    """Returns whether the user named a compiler."""
    return bool(compiler or os.environ.get("NVCC"))


def find_compiler(compiler: str | None = None) -> tuple[str, str]:
    """Returns the compiler's path, and its path and version as one line.

    Raises:
        BuildError: there is none, or it does not start.
    """
    path, said = find_compiler_of(_kind(), compiler)
    lines = [line for line in said.splitlines() if "release" in line] or said.splitlines() or ["unknown"]
    return path, f"{path}: {lines[0].strip()}"


def architectures() -> list[str]:
    """Returns the compute capabilities of this process' GPUs, such as "90"; JAX must compute on NVIDIA's GPUs."""
    return sorted({device.compute_capability.replace(".", "") for device in jax.local_devices()})


def compile_library(compiler: str, folder: Path) -> Path:
    """Compiles the sources into a library in a folder; returns its path.

    Raises:
        BuildError: the compiler fails, with its first error.
    """
    codes = [f"-gencode=arch=compute_{each},code=sm_{each}" for each in architectures()]
    libraries = [f"-L{path}" for path in (Path(compiler).resolve().parents[1] / "lib",) if path.is_dir()]
    headers = [f"-I{native.SOURCE}"]
    command = [compiler, *FLAGS, *codes, *headers, *libraries, str(SOURCE / "handlers.cu")]
    return compile_with(_kind(), command, folder)
