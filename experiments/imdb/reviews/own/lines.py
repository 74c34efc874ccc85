"""Lines of a UTF-8 file, one at a time, whatever the size of the file."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from experiments.imdb.reviews.own.row import LINE_MAX_BYTES, shown

__all__ = ["decode_utf8", "read_lines"]


def read_lines(path: Path) -> Iterator[str]:
    r"""Yields the lines of a file with their ends; only "\n" ends a line.

    Raises:
        ValueError: a line is too long, not UTF-8, or contains a NUL; says which, and what to do.
    """
    start = 0
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_MAX_BYTES + 1):
            number += 1
            place = f"{path}, line {number}"
            if len(line) > LINE_MAX_BYTES:
                raise ValueError(f"{place} has more than {LINE_MAX_BYTES:,} bytes. Shorten it, or split it.")
            skipped = len(codecs.BOM_UTF8) if start == 0 and line.startswith(codecs.BOM_UTF8) else 0
            yield decode_utf8(line[skipped:], place, start + skipped)
            start += len(line)


def decode_utf8(content: bytes, place: str, start: int = 0) -> str:
    """Decodes bytes that begin at byte `start` of their file.

    Raises:
        ValueError: they are not UTF-8, or contain a NUL.
    """
    if (zero := content.find(b"\0")) >= 0:
        raise ValueError(f"{place}, byte {start + zero}: a NUL byte. Save the file as UTF-8, not UTF-16.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = shown(content[error.start : error.start + 4])
        raise ValueError(
            f"{place}, byte {start + error.start}: {bad} is not UTF-8 ({error.reason}). Save the file as UTF-8."
        ) from error
