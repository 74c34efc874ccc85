"""What to install where a layer's library is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["needs_flax"]


@contextmanager
def needs_flax(name: str) -> Iterator[None]:
    """Turns "No module named 'flax'" into what to do about it.

    Raises:
        ModuleNotFoundError: Flax is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "flax":
            raise
        raise ModuleNotFoundError(f"{name} needs Flax: pip install 'recurrent-jax[flax]'", name="flax") from error
