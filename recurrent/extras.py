"""Errors that say which extra of this package to install."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["needs"]


@contextmanager
def needs(name: str, extra: str, libraries: Mapping[str, str]) -> Iterator[None]:
    """Adds installation instructions to an import error for one of some libraries.

    Args:
        name: the full name of the importing module, such as recurrent.layers.nnx.
        extra: the extra of this package that installs the libraries.
        libraries: module name -> the library's name in the message.

    Raises:
        ModuleNotFoundError: one of them is not installed; the message says how to install it.

    >>> with needs("recurrent.layers.nnx", "flax", {"flax": "Flax"}):
    ...     import jax
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in libraries:
            raise
        missing = libraries[error.name]
        raise ModuleNotFoundError(
            f"{name} needs {missing}: pip install 'recurrent-jax[{extra}]'", name=error.name
        ) from error
