"""The first reading of own data: counts words and classes, and checks everything before anything is kept."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt

from experiments.imdb.reviews.own.classes import MAX_CLASSES, in_order
from experiments.imdb.reviews.own.row import Row, shown
from experiments.imdb.reviews.own.source import OwnData
from experiments.imdb.reviews.source import OnProgress
from experiments.imdb.reviews.words import keras_words
from experiments.imdb.vocabulary import rank

__all__ = ["Scan", "ScannedSplit", "report_rows", "scan"]

_REPORT_EVERY = 1000


class ScannedSplit(NamedTuple):
    """Labels as ids of classes, and a hash of each text."""

    labels: Int[np.ndarray, "examples"]  # int32
    digests: UInt[np.ndarray, "examples"]  # uint64


class Scan(NamedTuple):
    """What the first reading found."""

    words: tuple[str, ...]  # of the training split, by rank
    classes: tuple[str, ...]
    splits: dict[str, ScannedSplit]


class _Seen(NamedTuple):
    """Classes in the order in which they appear."""

    ids: dict[str, int]
    places: list[str]  # of the first text of each class


def scan(source: OwnData, on_progress: OnProgress) -> Scan:
    """Reads all splits once. Memory grows by 12 bytes per text and with the number of distinct words.

    Raises:
        ValueError: a row can't be read, or the classes can't be trained on; says where, and what to do.
    """
    words: Counter[str] = Counter()
    seen = _Seen({}, [])
    splits = {"train": _scan_split(source, "train", words, seen, on_progress)}
    _check_training(source, seen, splits["train"])
    if "test" in source.parts:
        of_training = len(seen.ids)
        splits["test"] = _scan_split(source, "test", None, seen, on_progress)
        if not len(splits["test"].labels):
            raise ValueError(f"{source.parts['test']} has no texts. Remove it, or write texts into it.")
        if len(seen.ids) > of_training:
            name = list(seen.ids)[of_training]
            raise ValueError(
                f"{seen.places[of_training]}: the test split has the class {shown(name)}, which has no text in "
                f"{source.parts['train']}. Correct the label, or add training texts."
            )
    classes = in_order(list(seen.ids))
    new_ids = np.empty(len(classes), np.int32)
    new_ids[[seen.ids[name] for name in classes]] = np.arange(len(classes))
    ordered = {name: split._replace(labels=new_ids[split.labels]) for name, split in splits.items()}
    return Scan(rank(words), classes, ordered)


def _scan_split(
    source: OwnData, split: str, words: Counter[str] | None, seen: _Seen, on_progress: OnProgress
) -> ScannedSplit:
    labels, digests = array("i"), bytearray()
    for row in report_rows(source.rows(split), f"reading {split}", on_progress):
        if row.label not in seen.ids:
            if len(seen.ids) == MAX_CLASSES:
                raise ValueError(
                    f"{row.place}: label {shown(row.label)} is class number {MAX_CLASSES + 1}; at most {MAX_CLASSES:,} "
                    "are allowed. Labels must name classes, not measure something."
                )
            seen.ids[row.label] = len(seen.ids)
            seen.places.append(row.place)
        labels.append(seen.ids[row.label])
        digests += hashlib.blake2b(row.text.encode("utf-8"), digest_size=8).digest()
        if words is not None:
            words.update(keras_words(row.text))
    return ScannedSplit(np.array(labels, np.int32), np.frombuffer(bytes(digests), "<u8"))


def report_rows(rows: Iterator[Row], what: str, on_progress: OnProgress, total: int | None = None) -> Iterator[Row]:
    """Yields rows and reports how many; as long as the total is unknown, it is reported as the number so far."""
    for number, row in enumerate(rows):
        if number % _REPORT_EVERY == 0:
            on_progress(what, number, number if total is None else total)
        yield row


def _check_training(source: OwnData, seen: _Seen, split: ScannedSplit) -> None:
    path = source.parts["train"]
    if not seen.ids:
        raise ValueError(f"{path} has no texts. It needs at least two of each class.")
    if len(seen.ids) == 1:
        (name,) = seen.ids
        raise ValueError(
            f"{path}: all {len(split.labels):,} texts have the label {shown(name)}. Add texts of another class."
        )
    for (name, number), found in zip(seen.ids.items(), np.bincount(split.labels).tolist(), strict=True):
        if found == 1:
            raise ValueError(
                f"{seen.places[number]}: class {shown(name)} has one text. A class needs at least two, one to train on "
                "and one to validate with: add texts, or correct the label."
            )
