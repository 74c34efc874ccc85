"""Words and their ids, by Keras' rules.

The most frequent word of the training text has rank 1; a word's id is its rank + 3. Id 0 is padding, 1 the start of a
review, 2 an unknown word, 3 is not used. With a vocabulary of 10,000, ids below 10,000 are kept and other words are
unknown. A word that is not in the training text is dropped, as Keras does with test text.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from experiments.imdb.pairs import Pairs
from experiments.imdb.reviews.words import keras_words, split_words

__all__ = [
    "ID_OFFSET", "PADDING_ID", "START_ID", "UNKNOWN_ID", "Vocabulary", "as_read", "check_size", "count",
    "cut", "digest", "encode", "load", "rank", "save", "uncut_ids", "word_ids",
]  # fmt: skip

PADDING_ID, START_ID, UNKNOWN_ID, ID_OFFSET = 0, 1, 2, 3


@dataclass(frozen=True)
class Vocabulary:
    """All words of the training text, most frequent first, the number of ids, including reserved ones, and pairs."""

    words: tuple[str, ...]
    size: int
    pairs: Pairs = field(default_factory=Pairs)

    def __post_init__(self) -> None:
        """Raises ValueError for a size that is too small."""
        check_size(self.size)

    @cached_property
    def ranks(self) -> Mapping[str, int]:
        """The rank of each word, from 1."""
        return {word: number for number, word in enumerate(self.words, start=1)}


def check_size(size: int) -> None:
    """Raises ValueError for a vocabulary size that leaves no room for a word."""
    if size <= ID_OFFSET:
        raise ValueError(f"A vocabulary's size must be at least {ID_OFFSET + 1} (ids 0 to 3 are reserved), not {size}.")


def word_ids(vocabulary: Vocabulary, words: Iterable[str]) -> list[int | None]:
    """Returns each word's id; None for a word that is dropped, since it is not in the training text."""
    ranks, size = vocabulary.ranks, vocabulary.size
    ids = (ranks[word] + ID_OFFSET if word in ranks else None for word in words)
    return [UNKNOWN_ID if number is not None and number >= size else number for number in ids]


def count(texts: Iterable[str]) -> Counter[str]:
    """Counts the words of the training texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(keras_words(text))
    return counts


def rank(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Returns words by descending frequency, equally frequent ones in alphabetical order."""
    return tuple(sorted(counts, key=lambda word: (-counts[word], word)))


def uncut_ids(ranks: Mapping[str, int], text: str) -> list[int]:
    """Returns the ids of a review of the data set, the start id first, before the vocabulary's size is applied."""
    return [START_ID, *[ranks[word] + ID_OFFSET for word in keras_words(text) if word in ranks]]


def cut(ids: Int[np.ndarray, "..."], size: int) -> Int[np.ndarray, "..."]:
    """Replaces ids that are not in a vocabulary of `size` by the unknown id."""
    return np.where(ids < size, ids, np.int32(UNKNOWN_ID))


def encode(vocabulary: Vocabulary, text: str) -> Int[np.ndarray, "time"]:
    """Returns the ids of a user's text, the start id first; without words, only the start id."""
    return as_read(word_ids(vocabulary, split_words(text)))


def as_read(ids: Iterable[int | None]) -> Int[np.ndarray, "time"]:
    """Returns the ids that a model reads: the start id first, without the dropped words."""
    return np.array([START_ID, *(number for number in ids if number is not None)], np.int32)


def save(vocabulary: Vocabulary, path: Path) -> None:
    """Writes a vocabulary as JSON, all or nothing."""
    from recurrent.training.atomic import replacing  # here, since it imports JAX

    with replacing(path) as file:
        file.write(_to_json(vocabulary))


def digest(vocabulary: Vocabulary) -> str:
    """Returns the SHA-256 of a vocabulary as it is saved."""
    return hashlib.sha256(_to_json(vocabulary)).hexdigest()


def _to_json(vocabulary: Vocabulary) -> bytes:
    # Escaped to ASCII, so that even half a surrogate pair, which is not UTF-8, is restored.
    pairs = {"pairs": vocabulary.pairs.hashes} if len(vocabulary.pairs) else {}
    content = {"size": vocabulary.size, "words": vocabulary.words, **pairs}
    return json.dumps(content, ensure_ascii=True).encode("ascii")


def load(path: Path) -> Vocabulary:
    """Reads a vocabulary.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is corrupt, or not a vocabulary.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a vocabulary: it is not JSON ({error}).") from error
    problem = _problem(content)
    if problem:
        raise ValueError(f"{path} is not a vocabulary: {problem}.")
    try:
        pairs = Pairs(tuple(content.get("pairs", ())))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a vocabulary: {error}") from error
    return Vocabulary(tuple(content["words"]), content["size"], pairs)


def _problem(content: Any) -> str:
    """Returns why a JSON value is not a vocabulary; an empty string if it is one."""
    if not isinstance(content, dict) or set(content) - {"pairs"} != {"size", "words"}:
        return "it is not an object with size and words"
    size, words = content["size"], content["words"]
    if type(size) is not int or size <= ID_OFFSET:
        return f"its size is {size!r}, not a whole number above {ID_OFFSET}"
    if not isinstance(words, list):
        return "its words are not a list"
    odd = next((word for word in words if not isinstance(word, str) or keras_words(word) != [word]), None)
    if odd is not None:
        return f"{odd!r} is not a single word"
    return "a word occurs twice" if len(set(words)) != len(words) else ""
