"""The C++17 compiler: which one, its flags, and how it is run. One file is compiled, for this machine's processor.

What is said about a compiler here is used for `nvcc` too.
"""

import os
import platform
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import jax.ffi

__all__ = [
    "FLAGS",
    "CPP",
    "SECONDS",
    "SOURCE",
    "BuildError",
    "Kind",
    "compile_library",
    "compile_with",
    "find_compiler",
    "find_compiler_of",
]

SOURCE = Path(__file__).parent / "source"

FLAGS = (
    "-std=c++17",
    "-O3",
    "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native",
    *(("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()),
    "-ffp-contract=off",  # the same bits in every group of rows
    "-fno-math-errno",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
)


class Kind(NamedTuple):
    """A kind of compiler, for messages and for finding one."""

    name: str
    variable: str  # the environment variable that names one
    programs: tuple[str, ...]
    remedy: str


CPP = Kind("C++ compiler", "CXX", ("c++", "g++", "clang++"), "Install g++ or clang++, or set CXX.")
SECONDS = {"start": 60, "compile": 600}
"""How long a compiler may take."""


class BuildError(RuntimeError):
    """The native backend cannot be built here; the message says why, in one line.

    >>> import recurrent.native
    >>> try:
    ...     recurrent.native.build(compiler="no-such-compiler")
    ... except recurrent.native.BuildError as error:
    ...     print(error)
    there is no C++ compiler (no-such-compiler). Install g++ or clang++, or set CXX.
    """


def find_compiler(compiler: str | None) -> tuple[str, str]:
    """Returns the compiler's path, and its path and version as one line.

    Raises:
        BuildError: there is none, or it does not start.
    """
    path, said = find_compiler_of(CPP, compiler)
    return path, f"{path}: {said.splitlines()[0] if said else 'unknown'}"


def find_compiler_of(kind: Kind, compiler: str | None) -> tuple[str, str]:
    """Returns the path of a compiler, and what it says about its version.

    Raises:
        BuildError: there is none, or it does not start.
    """
    asked = compiler or os.environ.get(kind.variable)
    names = (asked,) if asked else kind.programs
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise BuildError(f"there is no {kind.name} ({', '.join(names)}). {kind.remedy}")
    code, said, _ = _run(kind, [path, "--version"], SECONDS["start"])
    if code:
        raise BuildError(
            f"the {kind.name} {path} does not start (exit code {code}). {kind.variable} names another one."
        )
    return path, said


def _run(kind: Kind, command: list[str], seconds: float) -> tuple[int, str, str]:
    """Runs a compiler; returns its exit code, its output and its errors. One that hangs is ended with its children."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise BuildError(
            f"the {kind.name} {command[0]} does not start ({error}). {kind.variable} names another one."
        ) from error
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise BuildError(f"the {kind.name} {command[0]} did not end within {seconds} s.") from error
            raise
    return process.returncode, output, errors


def compile_library(compiler: str, folder: Path) -> Path:
    """Compiles the sources into a library in a folder; returns its path.

    Raises:
        BuildError: the compiler fails, with its first error.
    """
    return compile_with(CPP, [compiler, *FLAGS, str(SOURCE / "handlers.cc")], folder)


def compile_with(kind: Kind, command: list[str], folder: Path) -> Path:
    """Runs a compiler's command, with XLA's headers, to make a library in a folder; returns its path.

    Raises:
        BuildError: the compiler fails, with its first error.
    """
    library = folder / "library.so"
    command = [*command, "-isystem", jax.ffi.include_dir(), "-o", str(library)]
    code, _, errors = _run(kind, command, SECONDS["compile"])
    if code or not library.exists():
        lines = errors.splitlines()
        first = next((line for line in lines if "error" in line), lines[0] if lines else f"exit code {code}")
        raise BuildError(f"the {kind.name} {command[0]} failed: {first.strip()}")
    return library
