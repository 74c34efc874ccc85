"""Own data as ids on disk: written while the texts are read, and mapped into memory, so neither needs it at once."""

import hashlib
import json
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt

__all__ = ["Stored", "StoredSplit", "load", "write_array", "write_description", "write_ids"]

_VERSION = 1
_DESCRIPTION = "description.json"
_DTYPES = {"ids": "<i4", "lengths": "<i4", "labels": "<i4", "digests": "<u8"}
_BLOCK = 1 << 18  # ids between two writes


class StoredSplit(NamedTuple):
    """The concatenated ids of a split, before the vocabulary's size is applied."""

    ids: Int[np.ndarray, "ids"]  # mapped from the file
    lengths: Int[np.ndarray, "examples"]
    labels: Int[np.ndarray, "examples"]
    digests: UInt[np.ndarray, "examples"]  # hashes of the exact texts


class Stored(NamedTuple):
    """Words by rank, names of classes, and splits."""

    words: tuple[str, ...]
    classes: tuple[str, ...]
    splits: dict[str, StoredSplit]


def write_ids(folder: Path, split: str, texts: Iterable[list[int]]) -> None:
    """Writes the ids of a split as they come, and their lengths."""
    lengths, block = array("i"), array("i")
    with (folder / f"{split}.ids").open("wb") as file:
        for ids in texts:
            lengths.append(len(ids))
            block.extend(ids)
            if len(block) >= _BLOCK:
                file.write(np.asarray(block, "<i4").tobytes())
                block = array("i")
        file.write(np.asarray(block, "<i4").tobytes())
    write_array(folder, split, "lengths", np.array(lengths, np.int32))


def write_array(folder: Path, split: str, field: str, values: np.ndarray) -> None:
    """Writes one array of a split."""
    (folder / f"{split}.{field}").write_bytes(values.astype(_DTYPES[field]).tobytes())


def write_description(folder: Path, words: Iterable[str], classes: Iterable[str], splits: Iterable[str]) -> None:
    """Completes what was written: after a kill before this, it does not count."""
    from recurrent.training.atomic import replacing  # here, since it imports JAX

    (folder / "words").write_bytes(" ".join(words).encode("utf-8"))  # no word contains a space
    names = ["words", *(f"{split}.{field}" for split in splits for field in _DTYPES)]
    hashes = {name: _sha256(folder / name) for name in names}
    content = {"version": _VERSION, "classes": list(classes), "splits": list(splits), "sha256": hashes}
    with replacing(folder / _DESCRIPTION) as file:
        file.write(json.dumps(content).encode("utf-8"))


def load(folder: Path) -> Stored | None:
    """Maps what was written; returns None if it is missing, corrupt or of another version."""
    try:
        content = json.loads((folder / _DESCRIPTION).read_bytes())
        if content["version"] != _VERSION:
            return None
        splits = [str(split) for split in content["splits"]]
        names = {"words", *(f"{split}.{field}" for split in splits for field in _DTYPES)}
        if set(content["sha256"]) != names or any(_sha256(folder / n) != h for n, h in content["sha256"].items()):
            return None
        classes = tuple(str(name) for name in content["classes"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    words = tuple(filter(None, (folder / "words").read_bytes().decode("utf-8").split(" ")))
    return Stored(words, classes, {split: StoredSplit(*(_map(folder, split, f) for f in _DTYPES)) for split in splits})


def _map(folder: Path, split: str, field: str) -> Any:
    path, dtype = folder / f"{split}.{field}", np.dtype(_DTYPES[field])
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.zeros(0, dtype)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
