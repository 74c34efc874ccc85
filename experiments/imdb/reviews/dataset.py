"""The reviews ready for training: arrays, vocabulary, facts and fingerprint, from the name of a source."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.imdb.pairs import NO_PAIRS, NumPairs, Pairs, known_pairs
from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.encoded import obtain
from experiments.imdb.reviews.examples import Examples, make_examples, make_labels
from experiments.imdb.reviews.facts import Facts, Rows, gather
from experiments.imdb.reviews.folder import Folder, is_acl_imdb
from experiments.imdb.reviews.kept import Arrays, kept
from experiments.imdb.reviews.keras_npz import KerasFile
from experiments.imdb.reviews.order import order_of, pick_rows
from experiments.imdb.reviews.own.source import READERS, OwnData
from experiments.imdb.reviews.own.split import VALIDATION_SHARE, check_share
from experiments.imdb.reviews.source import IMDB_CLASSES, OnProgress, Source, ignore_progress
from experiments.imdb.reviews.stored import StoredReviews, StoredTokens
from experiments.imdb.reviews.summary import summarise, summary_of
from experiments.imdb.reviews.wheel import Wheel
from experiments.imdb.vocabulary import Vocabulary, check_size

__all__ = ["SOURCE_NAMES", "AnySource", "Dataset", "find_source", "load", "load_source", "split", "splits"]


SOURCE_NAMES = ("wheel", "archive")
"""Sources that have a name; any other is the path of a file or folder."""
_REPORT_EVERY = 1000  # reviews
AnySource = Source | KerasFile | OwnData


class Dataset(NamedTuple):
    """All data that training, evaluating and predicting need."""

    train: Examples
    validation: Examples
    test: Examples | None
    vocabulary: Vocabulary
    fingerprint: str  # the same for the same ids and labels in the same order, before padding
    facts: Facts
    classes: tuple[str, ...] = IMDB_CLASSES  # names, in the order of labels


def load(
    source: str,
    data_dir: Path,
    vocabulary_size: int,
    sequence_length: int,
    on_progress: OnProgress = ignore_progress,
    validation_share: float = VALIDATION_SHARE,
    num_pairs: NumPairs = NO_PAIRS,
    stream: bool = False,
) -> Dataset:
    """Loads the reviews. Slow steps are done once, and their results are kept in `data_dir`.

    Args:
        source: "wheel", "archive", or a path: of an aclImdb folder, its .tar.gz archive, Keras' imdb.npz, or own data.
        data_dir: the folder of prepared reviews.
        vocabulary_size: number of ids, at least 4.
        sequence_length: ids per review, at least 1.
        on_progress: called with what is done, how much of it, and the total.
        validation_share: of each class of own data. The IMDB reviews keep Keras' last fifth.
        num_pairs: how many pairs and triples of neighbouring words the vocabulary has.
        stream: leaves the tokens of own data on disk, as `StoredTokens`, whose rows are read when they are asked for.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: it is corrupt, or an argument is out of range or does not apply to the source.
    """
    found = find_source(source)
    sizes = vocabulary_size, sequence_length
    return load_source(found, data_dir, *sizes, on_progress, validation_share, num_pairs, stream)


def find_source(source: str) -> AnySource:
    """Returns the source with a name or at a path.

    Raises:
        FileNotFoundError: it is neither a name nor an existing path.
        ValueError: the file or folder is not a source.
    """
    choices = (
        "Use wheel, archive, or a path: of an aclImdb folder, of its .tar.gz archive, of Keras' imdb.npz, or of own "
        f"data, a {', '.join(READERS)} file or a folder."
    )
    path = Path(source)
    if source == "wheel":
        return Wheel()
    if source == "archive":
        return Archive()
    if not path.exists():
        raise FileNotFoundError(
            f"There is no source {source!r}: {path.absolute()} does not exist; --source names another. {choices}"
        )
    if path.is_dir():
        return Folder(path) if is_acl_imdb(path) else OwnData(path)
    if path.name.endswith((".tar.gz", ".tgz")):
        return Archive(path)
    if path.suffix == ".npz":
        return KerasFile(path)
    if path.suffix.lower() in READERS:
        return OwnData(path)
    raise ValueError(f"The source {source!r} has none of the forms that are read. {choices}")


def load_source(
    source: AnySource,
    data_dir: Path,
    vocabulary_size: int,
    sequence_length: int,
    on_progress: OnProgress = ignore_progress,
    validation_share: float = VALIDATION_SHARE,
    num_pairs: NumPairs = NO_PAIRS,
    stream: bool = False,
) -> Dataset:
    """Loads the reviews of a source; see `load`."""
    if sequence_length < 1:
        raise ValueError(f"sequence_length must be at least 1, not {sequence_length}.")
    check_size(vocabulary_size)
    check_share(validation_share)
    _check_stream(source, stream)
    if isinstance(source, Archive) and source.path is not None:
        source.verify()  # results are kept by the hash, so the file at the path must have it
    encoded = obtain(source, data_dir, on_progress, is_whole=not stream)
    order, classes = order_of(source, encoded, validation_share), encoded.classes
    rows = pick_rows(encoded, order, vocabulary_size)
    examples = {name: _examples(each, sequence_length, vocabulary_size, classes, stream) for name, each in rows.items()}
    compute = partial(summarise, rows, encoded, order)
    kept_in = encoded.folder if stream else None
    summary = compute() if kept_in is None else summary_of(kept_in, vocabulary_size, validation_share, compute)
    name = f"pairs-{vocabulary_size}-{validation_share!r}-{num_pairs.pairs}-{num_pairs.triples}.npz"
    file = None if kept_in is None else kept_in / name
    pairs = _pairs(rows["train"].ids, num_pairs, file, on_progress) if any(num_pairs) else Pairs()
    known = len(encoded.words), rows, sequence_length, classes, summary.duplicates, summary.num_unknown
    return Dataset(
        train=examples["train"],
        validation=examples["validation"],
        test=examples.get("test"),
        vocabulary=Vocabulary(encoded.words, vocabulary_size, pairs),
        fingerprint=summary.fingerprint,
        facts=gather(source.name, *known),
        classes=classes,
    )


def _check_stream(source: AnySource, stream: bool) -> None:
    if stream and not isinstance(source, OwnData):
        raise ValueError(f"stream applies to own data; the reviews of {source.name} fit into memory. Leave it out.")


def _pairs(
    reviews: Sequence[Int[np.ndarray, "_"]], wanted: NumPairs, kept_as: Path | None, on_progress: OnProgress
) -> Pairs:
    """Returns the most frequent pairs: those that are kept in a file, or else counted, and kept there."""

    def read() -> Iterator[Int[np.ndarray, "_"]]:
        for number, review in enumerate(reviews):
            if number % _REPORT_EVERY == 0:
                on_progress("counting pairs of words", number, len(reviews))
            yield review

    def compute() -> Arrays:
        folder = None if kept_as is None else kept_as.with_suffix(".incomplete")
        return {"hashes": np.array(known_pairs(read, wanted, folder).hashes, np.uint32)}

    found = compute() if kept_as is None else kept(kept_as, compute)
    return Pairs(tuple(found["hashes"].tolist()))


def _examples(rows: Rows, sequence_length: int, vocabulary_size: int, classes: Sequence[str], stream: bool) -> Examples:
    if not isinstance(rows.ids, StoredReviews):
        return make_examples(*rows, sequence_length, vocabulary_size, len(classes))
    tokens: Any = StoredTokens(rows.ids, sequence_length)
    return Examples(tokens if stream else np.asarray(tokens), make_labels(rows.labels, len(classes)))


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
