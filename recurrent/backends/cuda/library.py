"""The library in this process: found, checked, loaded and registered with XLA at its first use."""

from functools import cache
from typing import NamedTuple

from recurrent.backends.cuda.build import folder_of_builds, key
from recurrent.backends.native.build import Built
from recurrent.backends.native.compiler import BuildError
from recurrent.backends.native.library import COMMAND, find_library, register
from recurrent.backends.nvidia import why_not_here

__all__ = ["TARGETS", "Library", "load"]

TARGETS = {
    name: f"recurrent_cuda_{name} (the cuda backend; backend='fused' can be exported)"
    for name in ("forward", "backward")
}
"""XLA's names of the two functions; an error of `jax.export` shows them."""


class Library(NamedTuple):
    """The loaded library, or why there is none."""

    why_not: str | None
    built: Built | None = None


@cache
def load() -> Library:
    """Loads the library that was built for this machine; the answer holds for the process."""
    if (reason := why_not_here()) is not None:
        return Library(reason)
    try:
        folders = [folder_of_builds()]
    except BuildError as error:
        return Library(f"its library is not built ({error}): run `{COMMAND}`")
    built = find_library(folders, key(), "GPU")
    if isinstance(built, str):
        return Library(built)
    try:
        register(built.path, {f"recurrent_cuda_{name}": target for name, target in TARGETS.items()}, "CUDA")
        return Library(None, built)
    except (OSError, AttributeError) as error:
        return Library(f"its library {built.path} cannot be loaded ({error}): remove it and run `{COMMAND}`")
