"""Building the native library: one C++ file, compiled for this machine's processor into a cache.

A build is found again by its key: the sources, the compiler's flags, jaxlib's version and the processor. So a home
directory that was copied from another machine does no harm.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax.ffi
import jaxlib

from recurrent.processor import cpuinfo

__all__ = ["WITH_PACKAGE", "BuildError", "Built", "build", "cache_folder", "digest", "find_built", "key"]

SOURCE = Path(__file__).parent / "source"
WITH_PACKAGE = Path(__file__).parent / "built"
"""Where a wheel carries a library that was built with it."""

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
COMPILERS = ("c++", "g++", "clang++")


class BuildError(RuntimeError):
    """The native backend cannot be built here; the message says why, in one line.

    >>> import recurrent.native
    >>> try:
    ...     recurrent.native.build(compiler="no-such-compiler")
    ... except recurrent.native.BuildError as error:
    ...     print(error)
    there is no C++ compiler (no-such-compiler). Install g++ or clang++, or set CXX.
    """


class Built(NamedTuple):
    """A library that was built."""

    path: Path
    digest: str  # of the file
    compiler: str


def build(compiler: str | None = None) -> Path:
    """Compiles the native library for this machine, unless the cache has it; returns its path. It takes half a minute.

    Args:
        compiler: the C++17 compiler; the environment variable CXX, or the first of c++, g++ and clang++ by default.

    Raises:
        BuildError: there is no compiler, it fails, or the cache cannot be written.
    """
    program, version = _find_compiler(compiler)
    there = find_built(cache_folder() / key())
    if there is not None and there.compiler == version and digest(there.path) == there.digest:
        return there.path
    folder = cache_folder() / key()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unfinished-") as unfinished:
            return _publish(_compile(program, Path(unfinished)), folder, version)
    except OSError as error:
        raise BuildError(f"{folder} cannot be written ({error.strerror or error}). XDG_CACHE_HOME moves it.") from error


def key() -> str:
    """Returns what a library of this machine is found by."""
    hashed = hashlib.sha256()
    for path in sorted(SOURCE.iterdir()):
        hashed.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for part in (*FLAGS, jaxlib.__version__, platform.machine(), _instruction_sets()):
        hashed.update(part.encode() + b"\0")
    return hashed.hexdigest()[:16]


def _instruction_sets() -> str:
    """Returns what the processor can do, in an order that does not change."""
    described = cpuinfo()
    return " ".join(sorted((described.get("flags") or described.get("Features") or platform.processor()).split()))


def cache_folder() -> Path:
    """Returns the folder of all builds: ``recurrent/native`` in the user's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(root) / "recurrent" / "native"


def find_built(folder: Path) -> Built | None:
    """Returns the library of a folder of one key, or None."""
    try:
        described = json.loads((folder / "built.json").read_text())
        return Built(folder / described["file"], described["digest"], described["compiler"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _find_compiler(compiler: str | None) -> tuple[str, str]:
    """Returns the compiler's path and what it says about its version."""
    asked = compiler or os.environ.get("CXX")
    names = (asked,) if asked else COMPILERS
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise BuildError(f"there is no C++ compiler ({', '.join(names)}). Install g++ or clang++, or set CXX.")
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"the C++ compiler {path} does not start ({error}). CXX names another one.") from error
    return path, f"{path}: {said.stdout.splitlines()[0] if said.stdout else 'unknown'}"


def _compile(compiler: str, folder: Path) -> Path:
    library = folder / "library.so"
    include = ["-isystem", jax.ffi.include_dir()]
    command = [compiler, *FLAGS, *include, str(SOURCE / "handlers.cc"), "-o", str(library)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"the C++ compiler {compiler} failed ({error}).") from error
    if done.returncode or not library.exists():
        lines = done.stderr.splitlines()
        first = next((line for line in lines if "error" in line), lines[0] if lines else f"exit code {done.returncode}")
        raise BuildError(f"the C++ compiler {compiler} failed: {first.strip()}")
    return library


def _publish(library: Path, folder: Path, compiler: str) -> Path:
    """Moves a finished library into its folder; the description, written last, makes it valid."""
    of_library = digest(library)
    path = folder / f"recurrent-{of_library[:16]}.so"
    library.replace(path)
    description = library.with_name("built.json")
    description.write_text(json.dumps({"file": path.name, "digest": of_library, "compiler": compiler}))
    description.replace(folder / "built.json")
    return path


def digest(path: Path) -> str:
    """Returns the digest of a file; an empty one if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
