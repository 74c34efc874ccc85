"""Texts as a person gives them: as arguments, or on standard input. Bytes that are no UTF-8 become U+FFFD."""

import os
import sys
from collections.abc import Iterator

__all__ = ["as_text", "read_lines", "read_text"]


def as_text(argument: str) -> str:
    """Returns an argument without halves of surrogate pairs, in which Python keeps bytes that it could not decode."""
    return _decode(os.fsencode(argument))


def read_text() -> str:
    """Reads one text from standard input, to its end."""
    if sys.stdin is None:  # closed
        return ""
    if sys.stdin.isatty():
        print("one text; Ctrl-D ends", file=sys.stderr)
    return _decode(sys.stdin.buffer.read())


def read_lines() -> Iterator[str]:
    """Reads a text a line from standard input."""
    if sys.stdin is None:  # closed
        return iter(())
    if sys.stdin.isatty():
        print("one text a line; Ctrl-D ends", file=sys.stderr)
    return map(_decode, sys.stdin.buffer)


def _decode(given: bytes) -> str:
    return given.decode("utf-8", errors="replace").rstrip("\r\n")
