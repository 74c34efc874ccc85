"""What a checkpoint must be: the hash of each of its files, the tree that it holds, and what its run said of itself.

Orbax checks no array data: with one bit flipped in a file, other weights come back and nobody is told. So a checkpoint
counts only with a manifest beside it, and the manifest's last line is the hash of all that stands before it.
"""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from recurrent.training.atomic import sync_folder, write_text

__all__ = [
    "Damaged",
    "Manifest",
    "hash_files",
    "read_manifest",
    "verify",
    "versions",
    "write_manifest",
]

FORMAT = 2
"""What is written. In format 1, Orbax got a state's own tree, and its leaves' paths could be ambiguous."""
MAX_BYTES = 64 << 20  # a manifest has some kilobytes; what is larger is none
_SEAL = '"sha256": "'


class Damaged(ValueError):
    """A checkpoint is not what was saved."""


class Manifest(NamedTuple):
    """Everything is of JSON's own types, so that a manifest comes back equal."""

    step: int
    files: dict[str, str]  # path within the checkpoint's folder -> SHA-256
    tree: dict[str, str]  # path of a leaf -> its dtype and shape, float32[32,128]; in the order of the arrays
    about: dict[str, Any]  # what the run said of itself: its identity, its records so far
    versions: dict[str, str]
    format: int = FORMAT


def hash_files(folder: Path, is_new: bool = False) -> dict[str, str]:
    """Hashes every file below a folder.

    Args:
        is_new: also waits until each file and folder is on disk.

    Raises:
        Damaged: something there is neither a file nor a folder (links are not followed), or can't be read.
    """
    hashes: dict[str, str] = {}
    try:
        _hash_into(hashes, folder, "", is_new)
    except OSError as error:
        raise Damaged(f"it can't be read ({error})") from error
    return hashes


def _hash_into(hashes: dict[str, str], folder: Path, prefix: str, is_new: bool) -> None:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                _hash_into(hashes, folder / entry.name, f"{prefix}{entry.name}/", is_new)
            elif entry.is_file(follow_symlinks=False):
                with Path(entry).open("rb") as file:
                    hashes[prefix + entry.name] = hashlib.file_digest(file, "sha256").hexdigest()
                    if is_new:
                        os.fsync(file.fileno())
            else:
                raise Damaged(f"{prefix}{entry.name} is a link or a device")
    if is_new:
        sync_folder(folder)


def verify(folder: Path, manifest: Manifest) -> None:
    """Compares a checkpoint with its manifest; only the files that are there are opened, whatever a manifest names.

    Raises:
        Damaged: they differ; says in which file.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise Damaged("its folder is missing")
    compare_files(manifest.files, hash_files(folder))


def compare_files(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Compares the hashes of files.

    Raises:
        Damaged: they differ; says in which file.
    """
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise Damaged(f"{name} is missing")
        if name not in expected:
            raise Damaged(f"{name} is no part of it")
        if found[name] != expected[name]:
            raise Damaged(f"{name} was changed: its SHA-256 is another")


@cache
def versions() -> dict[str, str]:
    """Returns the versions of the libraries that a checkpoint's bytes and a run's bits depend on."""
    found = {}
    for name in ("jax", "jaxlib", "optax", "orbax-checkpoint", "flax", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes a manifest, all or nothing."""
    content = json.dumps(manifest._asdict(), indent=1)
    body = content.removesuffix("\n}") + ",\n "
    write_text(path, body + _seal(body))


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest.

    Raises:
        Damaged: there is none, or not one bit for bit as it was written.
        ValueError: it is whole, and of a later version of this library.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise Damaged("it has no manifest: its save was cut short") from error
    except OSError as error:
        raise Damaged(f"its manifest can't be read ({error})") from error
    try:
        text = content.decode("ascii")
        body, mark, _ = text.rpartition(_SEAL)
        if not mark or text != body + _seal(body):
            raise Damaged("its manifest was changed: its SHA-256 is another")
        fields = json.loads(text)
        del fields["sha256"]
        found = fields["format"]
        manifest = Manifest(**fields) if found in range(1, FORMAT + 1) else None
    except (UnicodeDecodeError, ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"its manifest is none ({error})") from error
    if manifest is None:
        raise ValueError(
            f"{path} has format {found}, where this version of the library knows 1 to {FORMAT}: use a later one."
        )
    return manifest


def _seal(body: str) -> str:
    return f'{_SEAL}{hashlib.sha256(body.encode("ascii")).hexdigest()}"\n}}\n'
