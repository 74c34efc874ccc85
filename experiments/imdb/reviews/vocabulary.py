"""Words and their ids, by Keras' rules.

A word's rank tells how frequent it is in the training text, 1 for the most frequent; its id is rank + 3. Id 0 is
padding, 1 starts a review, 2 stands for an unknown word, 3 is not used. With a vocabulary of 10,000, ids below 10,000
are kept and other words are unknown; a word that the training text never had is dropped, as Keras does with test text.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.words import keras_words, split_words

__all__ = [
    "ID_OFFSET", "PADDING_ID", "START_ID", "UNKNOWN_ID", "Vocabulary", "as_read", "count", "count_known", "cut",
    "digest", "encode", "load", "rank", "save", "uncut_ids", "word_ids",
]  # fmt: skip

PADDING_ID, START_ID, UNKNOWN_ID, ID_OFFSET = 0, 1, 2, 3


@dataclass(frozen=True)
class Vocabulary:
    """All words of the training text, most frequent first, and how many ids there are, reserved ones included."""

    words: tuple[str, ...]
    size: int

    def __post_init__(self) -> None:
        """Raises ValueError where the size leaves no room for a word."""
        if self.size <= ID_OFFSET:
            raise ValueError(
                f"A vocabulary's size must be at least {ID_OFFSET + 1} (ids 0 to 3 are reserved), not {self.size}."
            )

    @cached_property
    def ranks(self) -> Mapping[str, int]:
        """The rank of each word, from 1."""
        return {word: number for number, word in enumerate(self.words, start=1)}


def word_ids(vocabulary: Vocabulary, words: Iterable[str]) -> list[int | None]:
    """Returns each word's id; None for a word that is dropped, since the training text never had it."""
    ranks, size = vocabulary.ranks, vocabulary.size
    ids = (ranks[word] + ID_OFFSET if word in ranks else None for word in words)
    return [UNKNOWN_ID if number is not None and number >= size else number for number in ids]


def count_known(ids: Iterable[int | None]) -> int:
    """Counts the words that a vocabulary knows, given the ids of `word_ids`."""
    return sum(number is not None and number != UNKNOWN_ID for number in ids)


def count(texts: Iterable[str]) -> Counter[str]:
    """Counts the words of the training texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(keras_words(text))
    return counts


def rank(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Orders words by how frequent they are, equals by their letters, so that no other order shows through."""
    return tuple(sorted(counts, key=lambda word: (-counts[word], word)))


def uncut_ids(ranks: Mapping[str, int], text: str) -> list[int]:
    """Returns the ids of a review of the data set, the start id first, before the vocabulary's size is applied."""
    return [START_ID, *[ranks[word] + ID_OFFSET for word in keras_words(text) if word in ranks]]


def cut(ids: Int[np.ndarray, "..."], size: int) -> Int[np.ndarray, "..."]:
    """Makes ids that a vocabulary of `size` does not have the unknown id."""
    return np.where(ids < size, ids, np.int32(UNKNOWN_ID))


def encode(vocabulary: Vocabulary, text: str) -> Int[np.ndarray, "time"]:
    """Returns the ids of a text of a user, the start id first; a text without words is the start id alone."""
    return as_read(word_ids(vocabulary, split_words(text)))


def as_read(ids: Iterable[int | None]) -> Int[np.ndarray, "time"]:
    """Returns the ids that a model reads of words with these ids: the start id first, dropped words left out."""
    return np.array([START_ID, *(number for number in ids if number is not None)], np.int32)


def save(vocabulary: Vocabulary, path: Path) -> None:
    """Writes a vocabulary as JSON, all or nothing."""
    from recurrent.training.atomic import replacing  # here, since JAX comes with it

    with replacing(path) as file:
        file.write(_to_json(vocabulary))


def digest(vocabulary: Vocabulary) -> str:
    """Hashes a vocabulary, as it is saved."""
    return hashlib.sha256(_to_json(vocabulary)).hexdigest()


def _to_json(vocabulary: Vocabulary) -> bytes:
    # Escaped to ASCII: even half a surrogate pair, which is no UTF-8, comes back as it was.
    return json.dumps({"size": vocabulary.size, "words": vocabulary.words}, ensure_ascii=True).encode("ascii")


def load(path: Path) -> Vocabulary:
    """Reads a vocabulary.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged, or something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no vocabulary: it is not JSON ({error}).") from error
    problem = _problem(content)
    if problem:
        raise ValueError(f"{path} is no vocabulary: {problem}.")
    return Vocabulary(tuple(content["words"]), content["size"])


def _problem(content: Any) -> str:
    """Says what keeps a JSON value from being a vocabulary; nothing if nothing does."""
    if not isinstance(content, dict) or set(content) != {"size", "words"}:
        return "it is not an object with size and words"
    size, words = content["size"], content["words"]
    if type(size) is not int or size <= ID_OFFSET:
        return f"its size is {size!r}, not a whole number above {ID_OFFSET}"
    if not isinstance(words, list):
        return "its words are not a list"
    odd = next((word for word in words if not isinstance(word, str) or keras_words(word) != [word]), None)
    if odd is not None:
        return f"{odd!r} is not a word as texts are split into"
    return "a word is there twice" if len(set(words)) != len(words) else ""
