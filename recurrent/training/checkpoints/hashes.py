"""The SHA-256 of each file of a checkpoint. Orbax verifies no array data: a flipped bit would load as other weights."""

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from recurrent.training.atomic import sync_folder

__all__ = ["Corrupt", "check_files", "compare_files", "hash_files"]


class Corrupt(ValueError):
    """A checkpoint, its seal or a run's manifest is missing or is not what was saved."""


def hash_files(folder: Path, is_new: bool = False, known: Collection[str] = ()) -> dict[str, str]:
    """Hashes every file below a folder.

    Args:
        folder: the folder.
        is_new: also waits until each file and folder is on disk.
        known: files that are left out, since another process has hashed them.

    Raises:
        Corrupt: something there is neither a file nor a folder (links are not followed), or can't be read.
    """
    hashes: dict[str, str] = {}
    try:
        _hash_into(hashes, folder, "", is_new, known)
    except OSError as error:
        raise Corrupt(f"it can't be read ({error})") from error
    return hashes


def _hash_into(hashes: dict[str, str], folder: Path, prefix: str, is_new: bool, known: Collection[str]) -> None:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                _hash_into(hashes, folder / entry.name, f"{prefix}{entry.name}/", is_new, known)
            elif prefix + entry.name in known:
                continue
            elif entry.is_file(follow_symlinks=False):
                with Path(entry).open("rb") as file:
                    hashes[prefix + entry.name] = hashlib.file_digest(file, "sha256").hexdigest()
                    if is_new:
                        os.fsync(file.fileno())
            else:
                raise Corrupt(f"{prefix}{entry.name} is a link or a device")
    if is_new:
        sync_folder(folder)


def check_files(folder: Path, expected: Mapping[str, str]) -> None:
    """Compares a checkpoint's files with their hashes. Opens only files that exist, whatever `expected` names.

    Raises:
        Corrupt: they differ; names the file.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise Corrupt("its folder is missing")
    compare_files(expected, hash_files(folder))


def compare_files(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Compares the hashes of files.

    Raises:
        Corrupt: they differ; names the file.
    """
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise Corrupt(f"{name} is missing")
        if name not in expected:
            raise Corrupt(f"{name} is no part of it")
        if found[name] != expected[name]:
            raise Corrupt(f"{name} was changed: its SHA-256 differs")
