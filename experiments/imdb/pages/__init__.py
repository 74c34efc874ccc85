"""The files of which pages are made: markup, scripts and styles."""

from pathlib import Path

__all__ = ["read"]


def read(name: str) -> str:
    """Returns a file's content."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
