"""What to install where a library is missing that only a part of this one needs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["needs"]


@contextmanager
def needs(name: str, extra: str, libraries: Mapping[str, str]) -> Iterator[None]:
    """Turns "No module named 'flax'" into what to do about it.

    Args:
        name: of what is imported, such as recurrent.layers.nnx.
        extra: of this project's, which brings the libraries.
        libraries: what they are called by the modules that may be missing.

    Raises:
        ModuleNotFoundError: one of them is not installed; names it and what to install.
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
