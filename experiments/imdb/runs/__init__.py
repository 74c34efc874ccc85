"""Runs of the benchmark: opening them, their files, where they lie, whether they are whole."""

from typing import Any

__all__ = ["open_run"]


def __getattr__(name: str) -> Any:
    """Imports `open_run` when it is asked for, since JAX comes with it."""
    if name == "open_run":
        from experiments.imdb.runs.open import open_run

        return open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
