"""Runs of the benchmark: opening them, their files and folders, their diagnosis and repair."""

from typing import Any

__all__ = ["open_run"]


def __getattr__(name: str) -> Any:
    """Imports `open_run` on first use, since it imports JAX."""
    if name == "open_run":
        from experiments.imdb.runs.open import open_run

        return open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
