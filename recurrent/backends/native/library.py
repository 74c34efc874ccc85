"""The native library in this process: found, checked, loaded and registered with XLA at its first use."""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax.ffi

from recurrent.backends.native.build import WITH_PACKAGE, Built, cache_folder, digest, find_built, key
from recurrent.backends.native.compiler import BuildError

__all__ = ["COMMAND", "TARGETS", "Library", "find_library", "load", "register"]

COMMAND = "python -m recurrent.native build"
TARGETS = {
    name: f"recurrent_{name} (the native backend; backend='fused' can be exported)" for name in ("forward", "backward")
}
"""XLA's names of the two functions; an error of `jax.export` shows them."""


class Library(NamedTuple):
    """The loaded library, or why there is none."""

    vector_bytes: int
    why_not: str | None
    built: Built | None = None


@cache
def load() -> Library:
    """Loads the library that was built for this machine; the answer holds for the process."""
    try:
        folders = [WITH_PACKAGE, cache_folder()]
    except BuildError as error:
        return Library(0, f"its library is not built ({error}): run `{COMMAND}`")
    built = find_library(folders, key(), "processor")
    if isinstance(built, str):
        return Library(0, built)
    try:
        library = register(built.path, {f"recurrent_{name}": target for name, target in TARGETS.items()}, "cpu")
        return Library(library.recurrent_vector_bytes(), None, built)
    except (OSError, AttributeError) as error:
        return Library(0, f"its library {built.path} cannot be loaded ({error}): remove it and run `{COMMAND}`")


def find_library(folders: Sequence[Path], key: str, machine: str) -> Built | str:
    """Returns the library of a key, or why there is none.

    Args:
        folders: of builds.
        key: what it is found by.
        machine: the part of the machine that a library is for.
    """
    built = next(filter(None, (find_built(folder / key) for folder in folders)), None)
    if built is None:
        has_others = any(find_built(other) for folder in folders for other in folder.glob("*"))
        state = f"is built for another {machine}, jaxlib or version" if has_others else "is not built"
        return f"its library {state}: run `{COMMAND}`"
    if digest(built.path) != built.digest:
        return f"its library {built.path} is damaged: run `{COMMAND}` again"
    return built


def register(path: Path, targets: dict[str, str], platform: str) -> ctypes.CDLL:
    """Loads a library and registers its functions with XLA.

    Args:
        path: of the library.
        targets: a function's name -> XLA's name of it.
        platform: XLA's name of what it computes on.

    Raises:
        OSError: the file cannot be loaded.
        AttributeError: a function is not in it.
    """
    library = ctypes.CDLL(str(path))
    for function, target in targets.items():
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(getattr(library, function)), platform=platform)
    return library
