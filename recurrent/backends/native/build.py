"""Building the native library into a cache.

A build is found again by its key: the sources, the compiler's flags, jaxlib's version and the processor. So a home
directory that was copied from another machine does no harm.
"""

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import jaxlib

from recurrent.backends.native.compiler import CPP, FLAGS, SOURCE, BuildError, compile_library, find_compiler
from recurrent.processor import cpuinfo

__all__ = ["WITH_PACKAGE", "Built", "build", "build_into", "cache_folder", "digest", "find_built", "key", "key_of"]

WITH_PACKAGE = Path(__file__).parent / "built"
"""Where a wheel carries a library that was built with it."""


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
    is_named = bool(compiler or os.environ.get(CPP.variable))
    return build_into(cache_folder() / key(), is_named, lambda: find_compiler(compiler), compile_library)


def build_into(
    folder: Path,
    is_named: bool,
    find_compiler: Callable[[], tuple[str, str]],
    compile_library: Callable[[str, Path], Path],
) -> Path:
    """Compiles a library into a folder of one key, unless it is there; returns its path.

    Args:
        folder: of the cache.
        is_named: whether the user named a compiler, which must then be there.
        find_compiler: returns its path, and its path and version as one line.
        compile_library: takes the compiler's path and a folder; returns the library's path.

    Raises:
        BuildError: there is no compiler, it fails, or the cache cannot be written.
    """
    there = find_built(folder)
    is_intact = there is not None and digest(there.path) == there.digest
    try:
        program, version = find_compiler()
    except BuildError:
        if is_intact and not is_named:
            return there.path
        raise
    if is_intact and there.compiler == version:
        return there.path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unfinished-") as unfinished:
            return _publish(compile_library(program, Path(unfinished)), folder, version)
    except OSError as error:
        raise BuildError(f"{folder} cannot be written ({error.strerror or error}). XDG_CACHE_HOME moves it.") from error


def key() -> str:
    """Returns what a library of this machine is found by."""
    return key_of(SOURCE.iterdir(), (*FLAGS, jaxlib.__version__, platform.machine(), _instruction_sets()))


def key_of(sources: Iterable[Path], parts: Iterable[str]) -> str:
    """Returns what a library is found by: a digest of its sources and of what else its bytes depend on."""
    hashed = hashlib.sha256()
    for path in sorted(sources):
        hashed.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for part in parts:
        hashed.update(part.encode() + b"\0")
    return hashed.hexdigest()[:16]


def _instruction_sets() -> str:
    """Returns what the processor can do, in an order that does not change."""
    described = cpuinfo()
    return " ".join(sorted((described.get("flags") or described.get("Features") or platform.processor()).split()))


def cache_folder(name: str = "native") -> Path:
    """Returns the folder of all builds of a backend: ``recurrent/native`` in the user's cache folder.

    Raises:
        BuildError: the user has no home folder.
    """
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError as error:
        raise BuildError("there is no home folder. XDG_CACHE_HOME names a folder for the library.") from error
    return root / "recurrent" / name


def find_built(folder: Path) -> Built | None:
    """Returns the library of a folder of one key, or None."""
    try:
        described = json.loads((folder / "built.json").read_text())
        return Built(folder / described["file"], described["digest"], described["compiler"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


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
