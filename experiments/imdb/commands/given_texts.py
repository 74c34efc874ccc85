"""Texts from arguments or standard input. Bytes that are not UTF-8 become U+FFFD."""

import os
import sys
from collections.abc import Iterator

__all__ = ["as_text", "read_lines", "read_text"]


def as_text(argument: str) -> str:
    """Returns an argument without lone surrogates, which stand for bytes that Python could not decode."""
    return _decode(os.fsencode(argument))


def read_text() -> str:
    """Reads all of standard input as one text."""
    if sys.stdin is None:  # closed
        return ""
    if sys.stdin.isatty():
        print("write one text; Ctrl-D ends the input", file=sys.stderr)
    return _decode(sys.stdin.buffer.read())


def read_lines() -> Iterator[str]:
    """Reads one text per line from standard input."""
    if sys.stdin is None:  # closed
        return iter(())
    if sys.stdin.isatty():
        print("write one text per line; Ctrl-D ends the input", file=sys.stderr)
    return map(_decode, sys.stdin.buffer)


def _decode(given: bytes) -> str:
    return given.decode("utf-8", errors="replace").rstrip("\r\n")
