"""The native library in this process: found, checked, loaded and registered with XLA at its first use."""

import ctypes
from functools import cache
from typing import NamedTuple

import jax.ffi

from recurrent.backends.native.build import WITH_PACKAGE, Built, cache_folder, digest, find_built, key
from recurrent.backends.native.compiler import BuildError

__all__ = ["COMMAND", "TARGETS", "Library", "load"]

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
    built = next(filter(None, (find_built(folder / key()) for folder in folders)), None)
    if built is None:
        has_others = any(find_built(other) for folder in folders for other in folder.glob("*"))
        state = "is built for another processor, jaxlib or version" if has_others else "is not built"
        return Library(0, f"its library {state}: run `{COMMAND}`")
    if digest(built.path) != built.digest:
        return Library(0, f"its library {built.path} is damaged: run `{COMMAND}` again")
    try:
        library = ctypes.CDLL(str(built.path))
        for name, target in TARGETS.items():
            function = getattr(library, f"recurrent_{name}")
            jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(function), platform="cpu")
        return Library(library.recurrent_vector_bytes(), None, built)
    except (OSError, AttributeError) as error:
        return Library(0, f"its library {built.path} cannot be loaded ({error}): remove it and run `{COMMAND}`")
