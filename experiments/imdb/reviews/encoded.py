"""All reviews of a source as ids, kept on disk since splitting 25,000 texts into words takes seconds.

The ids are those of an unlimited vocabulary, so one file serves every vocabulary size.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
from jaxtyping import Int, UInt

from experiments.imdb.reviews.keras_npz import KerasFile, words_by_alignment
from experiments.imdb.reviews.own.prepare import prepare
from experiments.imdb.reviews.own.shards import StoredIds
from experiments.imdb.reviews.own.source import OwnData
from experiments.imdb.reviews.source import IMDB_CLASSES, OnProgress, Review, Source, ignore_progress
from experiments.imdb.vocabulary import ID_OFFSET, START_ID, count, rank, uncut_ids

__all__ = ["Encoded", "EncodedSplit", "obtain"]

_VERSION = 1  # of the encoding and the file; files of other versions are made again
_STORED = ("ids", "lengths", "labels")


class EncodedSplit(NamedTuple):
    """The concatenated reviews of a split, in Keras' stored order."""

    ids: Int[np.ndarray, "ids"] | StoredIds  # int32, including each review's start id; on disk for own data
    lengths: Int[np.ndarray, "examples"]  # int32
    labels: Int[np.ndarray, "examples"]  # uint8; int32 for own data
    digests: UInt[np.ndarray, "examples"] | None = None  # of the exact texts, for own data


class Encoded(NamedTuple):
    """A source's words by rank, and its splits."""

    words: tuple[str, ...]
    splits: dict[str, EncodedSplit]
    classes: tuple[str, ...] = IMDB_CLASSES
    folder: Path | None = None  # of own data's ids


def obtain(
    source: Source | KerasFile | OwnData,
    data_dir: Path,
    on_progress: OnProgress = ignore_progress,
    is_whole: bool = True,
) -> Encoded:
    """Returns the encoded reviews of a source: read from disk if they are there and intact, else encoded and kept.

    Args:
        source: of the reviews.
        data_dir: the folder of prepared reviews.
        on_progress: called with what is done, how much of it, and the total.
        is_whole: verifies all of own data's ids at once; if not, each review is verified when it is read.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: the source, or the data set prepared from it, is corrupt.
    """
    if isinstance(source, OwnData):
        stored = prepare(source, data_dir, on_progress, is_whole)
        splits = {name: EncodedSplit(*each) for name, each in stored.splits.items()}
        return Encoded(stored.words, splits, stored.classes, stored.folder)
    path = data_dir / "encoded" / f"{source.name}.npz"
    encoded = _load(path)
    if encoded is not None:
        return encoded
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_suffix(".lock")):
        encoded = _load(path)  # another process may have made it while this one waited
        if encoded is None:
            if isinstance(source, KerasFile):
                encoded = _encode_keras(source, data_dir, on_progress)
            else:
                encoded = _encode_texts(source, data_dir, on_progress)
            _store(path, encoded)
    return encoded


def _encode_texts(source: Source, data_dir: Path, on_progress: OnProgress) -> Encoded:
    from experiments.imdb.reviews import prepared as reviews

    splits = reviews.read(source, data_dir, on_progress)
    words = rank(count(_texts(splits["train"], "counting the words", on_progress)))
    ranks = {word: number for number, word in enumerate(words, start=1)}
    encoded = {}
    for name, split in splits.items():
        texts = _texts(split, f"encoding {name}", on_progress)
        ids = [np.array(uncut_ids(ranks, text), np.int32) for text in texts]
        encoded[name] = _join(ids, [review.label for review in split])
    return Encoded(words, encoded)


def _encode_keras(source: KerasFile, data_dir: Path, on_progress: OnProgress) -> Encoded:
    from experiments.imdb.reviews import prepared as reviews

    on_progress("reading imdb.npz", 0, 1)
    arrays = source.read()
    train = reviews.read(source.texts, data_dir, on_progress)["train"]
    words = words_by_alignment(arrays.x_train, list(_texts(train, "finding the words", on_progress)))
    if arrays.y_train.tolist() != [review.label for review in train]:
        raise ValueError(f"{source.path} has other labels than the same reviews as text: it is corrupt, or not Keras'.")
    splits = {"train": (arrays.x_train, arrays.y_train), "test": (arrays.x_test, arrays.y_test)}
    start = np.array([START_ID], np.int32)
    encoded = {}
    for name, (reviews_as_ranks, labels) in splits.items():
        encoded[name] = _join([np.concatenate([start, ranks + ID_OFFSET]) for ranks in reviews_as_ranks], labels)
    return Encoded(words, encoded)


def _texts(reviews: Sequence[Review], what: str, on_progress: OnProgress) -> Iterator[str]:
    for number, review in enumerate(reviews):
        if number % 1000 == 0:
            on_progress(what, number, len(reviews))
        yield review.text


def _join(ids: Sequence[Int[np.ndarray, "_"]], labels: Sequence[int] | Int[np.ndarray, "_"]) -> EncodedSplit:
    flat = np.concatenate([np.zeros(0, np.int32), *ids]).astype(np.int32)
    return EncodedSplit(flat, np.array([len(review) for review in ids], np.int32), np.array(labels, np.uint8))


def _store(path: Path, encoded: Encoded) -> None:
    """Writes the arrays, then their hash. After a kill between the two, they do not match."""
    from recurrent.training.atomic import replacing  # here, since it imports JAX

    arrays: dict[str, Any] = {
        f"{name}_{field}": array
        for name, split in encoded.splits.items()
        for field, array in zip(_STORED, split, strict=False)
    }
    words = " ".join(encoded.words).encode("utf-8")  # no word contains a space
    buffer = io.BytesIO()
    np.savez(buffer, words=np.frombuffer(words, np.uint8), **arrays)
    content = buffer.getvalue()
    with replacing(path) as file:
        file.write(content)
    description = {"version": _VERSION, "sha256": hashlib.sha256(content).hexdigest()}
    with replacing(path.with_suffix(".json")) as file:
        file.write(json.dumps(description).encode("utf-8"))


def _load(path: Path) -> Encoded | None:
    """Reads what `_store` wrote; returns None if it is missing, corrupt or of another version."""
    try:
        description = json.loads(path.with_suffix(".json").read_bytes())
        content = path.read_bytes()
    except (FileNotFoundError, ValueError):
        return None
    if description != {"version": _VERSION, "sha256": hashlib.sha256(content).hexdigest()}:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        words = tuple(filter(None, arrays["words"].tobytes().decode("utf-8").split(" ")))
        names = [name.removesuffix("_ids") for name in arrays.files if name.endswith("_ids")]
        splits = {name: EncodedSplit(*(arrays[f"{name}_{field}"] for field in _STORED)) for name in names}
    return Encoded(words, splits)
