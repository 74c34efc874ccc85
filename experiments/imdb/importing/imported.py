"""A model that was read from a file and is not a run yet."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.imdb.importing.file import digest_of
from experiments.imdb.importing.word_index import WordIndex
from experiments.imdb.pairs import Pairs

__all__ = ["Imported", "origin_of"]


class Imported(NamedTuple):
    """A model, in NumPy arrays."""

    origin: dict[str, str]  # for the run's manifest: file, sha256 of its weights, format
    fields: dict[str, Any]  # of the recipe, as far as the file says
    tensors: dict[str, np.ndarray]  # by the names of `tensors.fit`
    words: WordIndex | None = None  # None: ids by Keras' rule
    pairs: Pairs | None = None  # of the vocabulary of an export with bigrams
    classes: tuple[str, ...] | None = None  # names in the order of labels, where the file has them


def origin_of(path: Path, kind: str) -> dict[str, str]:
    """Returns where a model comes from: its file's name and SHA-256, and the format."""
    return {"file": path.name, "sha256": digest_of(path), "format": kind}
