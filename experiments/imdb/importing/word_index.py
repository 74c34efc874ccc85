"""The ids that another program gave to words, and what they are among the ids of the prepared reviews."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.imdb import vocabulary
from experiments.imdb.importing.file import read_json
from experiments.imdb.vocabulary import ID_OFFSET, UNKNOWN_ID, Vocabulary

__all__ = ["Moved", "WordIndex", "move_rows", "read_word_index"]

WordIndex = Mapping[str, int]
"""The rank of each word, from 1; its id is its rank + 3."""


class Moved(NamedTuple):
    """An embedding whose rows stand at the ids of the prepared reviews."""

    table: Float[np.ndarray, "ids features"]
    num_moved: int  # words whose id changed
    num_lost: int  # words that the model knows and that no review holds: texts are read without them
    num_unknown: int  # words of the reviews that the index lacks: they are read as the unknown word


def read_word_index(path: Path) -> WordIndex:
    """Reads Keras' imdb_word_index.json, an object of ranks by word, or the vocabulary.json of a run.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is neither of the two, or a rank is no whole number from 1 or occurs twice.
    """
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("words"), list):
        return vocabulary.load(path).ranks
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} is not a word index: it must be a JSON object of ranks by word.")
    for word, rank in content.items():
        if type(rank) is not int or not 1 <= rank < 1 << 31:
            raise ValueError(f"{path}: the rank of {word!r} is {rank!r}, not a whole number of at least 1.")
    if len(set(content.values())) != len(content):
        raise ValueError(f"{path} is not a word index: two words have one rank.")
    return content


def move_rows(table: Float[np.ndarray, "ids features"], index: WordIndex, words: Vocabulary) -> Moved:
    """Moves each word's row to its id among the prepared reviews, so that the model reads them as before.

    A word that the model reads as unknown gets the unknown word's row. The table grows where a word that the model
    knows is rarer in the reviews than in the index.

    Args:
        table: the embedding.
        index: the ranks by which it was trained.
        words: all words of the prepared reviews.
    """
    num_ids = len(table)
    theirs = {word: rank + ID_OFFSET for word, rank in index.items() if rank + ID_OFFSET < num_ids}
    ours = {word: words.ranks[word] + ID_OFFSET for word in theirs if word in words.ranks}
    known = words.words[: num_ids - ID_OFFSET - 1]
    if all(theirs.get(word) == number for number, word in enumerate(known, start=ID_OFFSET + 1)):
        return Moved(table, 0, len(theirs) - len(ours), 0)
    size = max([*ours.values(), ID_OFFSET]) + 1
    rows = np.full(size, UNKNOWN_ID, np.int64)
    rows[: ID_OFFSET + 1] = np.arange(ID_OFFSET + 1)
    rows[list(ours.values())] = [theirs[word] for word in ours]
    num_moved = sum(theirs[word] != number for word, number in ours.items())
    num_unknown = sum(word not in index for word in words.words)
    return Moved(table[rows], num_moved, len(theirs) - len(ours), num_unknown)
