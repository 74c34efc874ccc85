"""The seal of a checkpoint: a JSON file with the hash of each of its files, its tree, and what the run stored with it.

A checkpoint counts only with a seal beside it. The seal's last line is the hash of everything before that line.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from recurrent.training.atomic import write_text
from recurrent.training.checkpoints.hashes import Corrupt

__all__ = ["Seal", "read_seal", "write_seal"]

FORMAT = 2
"""The format that is written. In format 1, Orbax stored the state's own tree, and paths could be ambiguous."""
MAX_BYTES = 64 << 20  # a seal has a few kilobytes; a larger file is not read
_LAST_LINE = '"sha256": "'


class Seal(NamedTuple):
    """All values are of JSON's own types, so a seal compares equal after it was written and read."""

    step: int
    files: dict[str, str]  # path within the checkpoint's folder -> SHA-256
    tree: dict[str, str]  # path of a leaf -> its dtype and shape, float32[32,128]; in the order of the arrays
    about: dict[str, Any]  # what the run stores with it: its identity, its records so far
    versions: dict[str, str]
    format: int = FORMAT


def write_seal(path: Path, seal: Seal) -> None:
    """Writes a seal, all or nothing."""
    content = json.dumps(seal._asdict(), indent=1)
    body = content.removesuffix("\n}") + ",\n "
    write_text(path, body + _last_line(body))


def read_seal(path: Path) -> Seal:
    """Reads a seal.

    Raises:
        Corrupt: there is none, or it is not bit for bit what was written.
        ValueError: it is intact, but a later version of this library wrote it.
    """
    content = _read(path)
    try:
        text = content.decode("ascii")
        body, mark, _ = text.rpartition(_LAST_LINE)
        if not mark or text != body + _last_line(body):
            raise Corrupt("its seal was changed: its SHA-256 differs")
        fields = json.loads(text)
        del fields["sha256"]
        found = fields["format"]
        seal = Seal(**fields) if found in range(1, FORMAT + 1) else None
    except (UnicodeDecodeError, ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, Corrupt):
            raise
        raise Corrupt(f"its seal is not readable ({error})") from error
    if seal is None:
        raise ValueError(
            f"{path} has format {found}; this version of the library reads 1 to {FORMAT}: use a later version."
        )
    return seal


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise Corrupt("it has no seal: its save was interrupted") from error
    except OSError as error:
        raise Corrupt(f"its seal can't be read ({error})") from error


def _last_line(body: str) -> str:
    return f'{_LAST_LINE}{hashlib.sha256(body.encode("ascii")).hexdigest()}"\n}}\n'
