"""A model that was read from a file and is not a run yet."""

from typing import Any, NamedTuple

import numpy as np

from experiments.imdb.importing.word_index import WordIndex
from experiments.imdb.pairs import Pairs

__all__ = ["Imported"]


class Imported(NamedTuple):
    """A model, in NumPy arrays."""

    format: str  # for people
    sha256: str  # of the file of weights
    fields: dict[str, Any]  # of the recipe, as far as the file says
    tensors: dict[str, np.ndarray]  # by the names of `tensors.fit`
    words: WordIndex | None = None  # None: ids by Keras' rule
    pairs: Pairs | None = None  # of the vocabulary of an export with bigrams
    classes: tuple[str, ...] | None = None  # names in the order of labels, where the file has them
