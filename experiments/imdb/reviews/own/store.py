"""Own data as ids on disk: shards of ids, and arrays of what is known of each text, which fit into memory."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt

from experiments.imdb.reviews.own.shards import StoredIds, Written, shard_path, write_shards
from experiments.imdb.reviews.own.spill import Block

__all__ = ["Stored", "StoredSplit", "load", "write_array", "write_blocks", "write_description", "write_ids"]

_VERSION = 2
_DESCRIPTION = "description.json"
_DTYPES = {"lengths": "<i4", "labels": "<i4", "digests": "<u8", "checks": "<u4", "shards": "<i8"}
_BLOCK_ROWS = 1000


class StoredSplit(NamedTuple):
    """The reviews of a split, before the vocabulary's size is applied."""

    ids: StoredIds
    lengths: Int[np.ndarray, "examples"]
    labels: Int[np.ndarray, "examples"]
    digests: UInt[np.ndarray, "examples"]  # hashes of the exact texts


class Stored(NamedTuple):
    """Words by rank, names of classes, and splits."""

    words: tuple[str, ...]
    classes: tuple[str, ...]
    splits: dict[str, StoredSplit]
    folder: Path


def write_ids(folder: Path, split: str, texts: Iterable[list[int]]) -> None:
    """Writes the ids of a split as they come, and what describes them."""
    write_blocks(folder, split, _in_blocks(texts))


def _in_blocks(texts: Iterable[list[int]]) -> Iterator[Block]:
    waiting = iter(texts)
    while some := list(islice(waiting, _BLOCK_ROWS)):
        ids = np.array([number for text in some for number in text], np.int32)
        yield Block(ids, np.array([len(text) for text in some], np.int32))


def write_blocks(folder: Path, split: str, blocks: Iterable[Block]) -> None:
    """Writes the ids of a split block by block, and what describes them."""
    for field, values in write_shards(folder, split, blocks)._asdict().items():
        write_array(folder, split, field, values)


def write_array(folder: Path, split: str, field: str, values: np.ndarray) -> None:
    """Writes one array of a split."""
    (folder / f"{split}.{field}").write_bytes(values.astype(_DTYPES[field]).tobytes())


def write_description(folder: Path, words: Iterable[str], classes: Iterable[str], splits: Iterable[str]) -> None:
    """Completes what was written: after a kill before this, it does not count."""
    from recurrent.training.atomic import replacing  # here, since it imports JAX

    (folder / "words").write_bytes(" ".join(words).encode("utf-8"))  # no word contains a space
    splits = list(splits)
    names = [*_describing(splits), *(name for split in splits for name in _shard_names(folder, split))]
    hashes = {name: _sha256(folder / name) for name in names}
    content = {"version": _VERSION, "classes": list(classes), "splits": splits, "sha256": hashes}
    with replacing(folder / _DESCRIPTION) as file:
        file.write(json.dumps(content).encode("utf-8"))


def load(folder: Path, is_whole: bool = True) -> Stored | None:
    """Opens what was written; returns None if it is missing, corrupt or of another version.

    Args:
        folder: of the files.
        is_whole: compares the hash of every file. If not, shards are looked up by name and size alone, and each review
            is verified when it is read.
    """
    try:
        content = json.loads((folder / _DESCRIPTION).read_bytes())
        if content["version"] != _VERSION:
            return None
        splits, hashes = [str(split) for split in content["splits"]], content["sha256"]
        if any(_sha256(folder / name) != hashes[name] for name in _describing(splits)):
            return None
        shards = [name for split in splits for name in _shard_names(folder, split)]
        if set(hashes) != {*_describing(splits), *shards}:
            return None
        found = {split: _open_split(folder, split) for split in splits}
        if any(not _has_sizes(folder, split, each.ids) for split, each in found.items()):
            return None
        if is_whole and any(_sha256(folder / name) != hashes[name] for name in shards):
            return None
        classes = tuple(str(name) for name in content["classes"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    words = tuple(filter(None, (folder / "words").read_bytes().decode("utf-8").split(" ")))
    return Stored(words, classes, found, folder)


def _describing(splits: Iterable[str]) -> list[str]:
    """Returns the names of all files but the shards; they are small."""
    return ["words", *(f"{split}.{field}" for split in splits for field in _DTYPES)]


def _shard_names(folder: Path, split: str) -> list[str]:
    return [shard_path(folder, split, number).name for number in range(len(_read(folder, split, "shards")))]


def _open_split(folder: Path, split: str) -> StoredSplit:
    arrays = {field: _read(folder, split, field) for field in _DTYPES}
    ids = StoredIds(folder, split, Written(*(arrays[field] for field in Written._fields)))
    return StoredSplit(ids, arrays["lengths"], arrays["labels"], arrays["digests"])


def _has_sizes(folder: Path, split: str, ids: StoredIds) -> bool:
    sizes = [shard_path(folder, split, number).stat().st_size for number in range(len(ids.sizes))]
    return sizes == ids.sizes.tolist()


def _read(folder: Path, split: str, field: str) -> Any:
    return np.fromfile(folder / f"{split}.{field}", _DTYPES[field])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
