"""The one reading of own data: counts words and classes, checks everything, and writes numbers for the words."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt

from experiments.imdb.reviews.own.classes import MAX_CLASSES, in_order
from experiments.imdb.reviews.own.numbered import MAX_WORDS, NumberedWords
from experiments.imdb.reviews.own.row import Row, shown
from experiments.imdb.reviews.own.source import OwnData
from experiments.imdb.reviews.own.spill import Spill
from experiments.imdb.reviews.own.store import write_ids
from experiments.imdb.reviews.source import OnProgress
from experiments.imdb.vocabulary import uncut_ids

__all__ = ["Scan", "ScannedSplit", "scan"]

_REPORT_EVERY = 1000


class ScannedSplit(NamedTuple):
    """Labels as ids of classes, and a hash of each text."""

    labels: Int[np.ndarray, "examples"]  # int32
    digests: UInt[np.ndarray, "examples"]  # uint64


class Scan(NamedTuple):
    """What was found, and the training texts as numbers, which are on disk."""

    spill: Spill
    tables: list[Int[np.ndarray, "numbers"]]  # of each generation of the spill, the id of each number
    words: tuple[str, ...]  # of the training split, by rank
    classes: tuple[str, ...]
    splits: dict[str, ScannedSplit]


class _Seen(NamedTuple):
    """Classes in the order in which they appear."""

    ids: dict[str, int]
    places: list[str]  # of the first text of each class


def scan(source: OwnData, folder: Path, on_progress: OnProgress) -> Scan:
    """Reads all splits once, and writes into a folder.

    Memory grows by about 100 bytes per text, and with the number of different words, of which `MAX_WORDS` are counted.

    Raises:
        ValueError: a row can't be read, or the classes can't be trained on; says where, and what to do.
    """
    seen, numbered = _Seen({}, []), NumberedWords(MAX_WORDS)
    spill, train = Spill(folder, numbered), _Reading(source, "train", seen, on_progress)
    for text in train.texts():
        spill.add(text)
    spill.finish()
    splits = {"train": train.found()}
    _check_training(source, seen, splits["train"])
    words, tables = numbered.finish()
    if "test" in source.parts:
        splits["test"] = _scan_test(source, folder, words, seen, on_progress)
    classes = in_order(list(seen.ids))
    new_ids = np.empty(len(classes), np.int32)
    new_ids[[seen.ids[name] for name in classes]] = np.arange(len(classes))
    ordered = {name: split._replace(labels=new_ids[split.labels]) for name, split in splits.items()}
    return Scan(spill, tables, words, classes, ordered)


def _scan_test(
    source: OwnData, folder: Path, words: Iterable[str], seen: _Seen, on_progress: OnProgress
) -> ScannedSplit:
    """Reads the test split and writes its ids, since all words are known; others are dropped."""
    of_training = len(seen.ids)
    ranks = {word: number for number, word in enumerate(words, start=1)}
    test = _Reading(source, "test", seen, on_progress)
    write_ids(folder, "test", (uncut_ids(ranks, text) for text in test.texts()))
    found = test.found()
    if not len(found.labels):
        raise ValueError(f"{source.parts['test']} has no texts. Remove it, or write texts into it.")
    if len(seen.ids) > of_training:
        name = list(seen.ids)[of_training]
        raise ValueError(
            f"{seen.places[of_training]}: the test split has the class {shown(name)}, which has no text in "
            f"{source.parts['train']}. Correct the label, or add training texts."
        )
    return found


class _Reading:
    """A split whose labels and hashes are noted while its texts are read."""

    def __init__(self, source: OwnData, split: str, seen: _Seen, on_progress: OnProgress) -> None:
        self._source, self._split, self._seen, self._on_progress = source, split, seen, on_progress
        self._labels, self._digests = array("i"), bytearray()

    def texts(self) -> Iterator[str]:
        """Yields the texts."""
        for number, row in enumerate(self._source.rows(self._split)):
            if number % _REPORT_EVERY == 0:
                self._on_progress(f"reading {self._split}", number, number)  # the total is unknown
            self._labels.append(self._class_of(row))
            self._digests += hashlib.blake2b(row.text.encode("utf-8"), digest_size=8).digest()
            yield row.text

    def found(self) -> ScannedSplit:
        """Returns what was noted."""
        return ScannedSplit(np.array(self._labels, np.int32), np.frombuffer(bytes(self._digests), "<u8"))

    def _class_of(self, row: Row) -> int:
        ids = self._seen.ids
        if row.label not in ids:
            if len(ids) == MAX_CLASSES:
                raise ValueError(
                    f"{row.place}: label {shown(row.label)} is class number {MAX_CLASSES + 1}; at most {MAX_CLASSES:,} "
                    "are allowed. Labels must name classes, not measure something."
                )
            ids[row.label] = len(ids)
            self._seen.places.append(row.place)
        return ids[row.label]


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
