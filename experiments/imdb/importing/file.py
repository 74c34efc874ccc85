"""The bytes of a file, up to a limit, and its hash."""

import hashlib
import json
from pathlib import Path
from typing import Any

__all__ = ["MODEL_MAX_BYTES", "TEXT_MAX_BYTES", "as_json", "check_file", "digest_of", "read_file", "read_json"]

MODEL_MAX_BYTES = 2 << 30
TEXT_MAX_BYTES = 32 << 20  # of JSON; imdb_word_index.json has 1.6 MB


def read_file(path: Path, limit: int = MODEL_MAX_BYTES) -> bytes:
    """Returns a file's content.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder or a device, or has more bytes than the limit.
    """
    check_file(path, limit)
    with path.open("rb") as file:
        return file.read(limit)


def check_file(path: Path, limit: int = MODEL_MAX_BYTES) -> None:
    """Raises an error for what `read_file` refuses."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    if not path.is_file():
        raise ValueError(f"{path} is not a file.")
    if path.stat().st_size > limit:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, more than the limit of {limit:,}.")


def digest_of(path: Path) -> str:
    """Returns a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is too large, or not JSON.
    """
    return as_json(read_file(path, TEXT_MAX_BYTES), str(path))


def as_json(content: bytes, what: str) -> Any:
    """Parses JSON.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is not JSON ({error}).") from error
