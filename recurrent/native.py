"""Building the native backend: ``python -m recurrent.native build``, or `build` from a program; and memory for it.

The command builds the cuda backend too, where JAX computes on an NVIDIA GPU.
"""

import sys
from pathlib import Path

from recurrent.backends.cuda import build as _cuda_build
from recurrent.backends.cuda.library import load as load_cuda
from recurrent.backends.native import build as _build
from recurrent.backends.native.compiler import BuildError
from recurrent.backends.native.kept_memory import keep_memory
from recurrent.backends.native.library import COMMAND, load
from recurrent.backends.nvidia import why_not_here

__all__ = ["BuildError", "build", "keep_memory", "why_not"]


def build(compiler: str | None = None) -> Path:
    """Compiles the native backend for this machine, unless that was done before; returns the path of the library.

    Args:
        compiler: the C++17 compiler; the environment variable CXX, or the first of c++, g++ and clang++ by default.

    Raises:
        BuildError: there is no compiler, it fails, or the cache cannot be written.

    >>> import recurrent.native
    >>> path = recurrent.native.build()  # doctest: +SKIP
    """
    path = _build.build(compiler)
    if load().why_not is not None:
        load.cache_clear()
    return path


def why_not() -> str | None:
    """Returns why the native backend cannot be used in this process, or None if it is built and loaded.

    >>> import recurrent.native
    >>> reason = recurrent.native.why_not()
    >>> reason is None or "python -m recurrent.native build" in reason
    True
    """
    return load().why_not


def main(arguments: list[str]) -> int:
    """Builds the libraries, as ``python -m recurrent.native build`` does; returns the exit code."""
    if arguments != ["build"]:
        print(f"usage: {COMMAND}", file=sys.stderr)
        return 2
    is_cuda_well = why_not_here() is not None or _build_cuda()
    try:
        path = build()
    except BuildError as error:
        print(f"The native backend is not built: {error}", file=sys.stderr)
        return 1
    if (reason := why_not()) is not None:
        print(f"The native backend is built, and cannot be used: {reason}.", file=sys.stderr)
        return 1
    print(f"The native backend is built: {path}")
    return 0 if is_cuda_well else 1


def _build_cuda() -> bool:
    """Builds the cuda backend and says so; returns False if something is wrong. A missing compiler is not."""
    try:
        path = _cuda_build.build()
    except BuildError as error:
        print(f"The cuda backend is not built: {error}", file=sys.stderr)
        return str(error).startswith("there is no CUDA compiler")
    if load_cuda().why_not is not None:
        load_cuda.cache_clear()
    if (reason := load_cuda().why_not) is not None:
        print(f"The cuda backend is built, and cannot be used: {reason}.", file=sys.stderr)
        return False
    print(f"The cuda backend is built: {path}")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
