"""Words and their ids, by Keras' rules.

The data set is split by `keras_words`, exactly as Keras does. Texts of users are split by `split_words`: they hold
characters that the training texts hardly have (other line ends, other spaces, typographic quotes), which Keras' rule
would leave inside words that the model then does not know.

A word's rank tells how frequent it is in the training text, 1 for the most frequent; its id is rank + 3. Id 0 is
padding, 1 starts a review, 2 stands for an unknown word, 3 is not used. With a vocabulary of 10,000, ids below 10,000
are kept and other words are unknown; a word that the training text never had is dropped, as Keras does with test text.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

__all__ = [
    "ID_OFFSET", "PADDING_ID", "START_ID", "UNKNOWN_ID", "Vocabulary", "as_read", "count", "count_known", "cut",
    "digest", "encode", "keras_words", "load", "rank", "save", "spans", "split_words", "uncut_ids", "word_ids",
]  # fmt: skip

PADDING_ID, START_ID, UNKNOWN_ID, ID_OFFSET = 0, 1, 2, 3
_FILTERED = '!"#$%&()*+,-./:;<=>?@[\\]^_{|}~`\t\n'  # apostrophes stay
_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_KERAS = str.maketrans(_UPPER + _FILTERED, _LOWER + " " * len(_FILTERED))
# Literals, so that a text has the same words under any version of Unicode.
_WHITESPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_INVISIBLE = "\u200b\u2060\ufeff"  # zero-width space, word joiner, byte order mark
_TYPOGRAPHIC = "\u2010\u2011\u2012\u2013\u2014\u2015\u2018\u201a\u201c\u201d\u201e\u2026\u00ab\u00bb\u2039\u203a"
_SEPARATORS = _WHITESPACE + _INVISIBLE + _TYPOGRAPHIC
_USERS = _KERAS | str.maketrans(_SEPARATORS + "\u2019\u02bc", " " * len(_SEPARATORS) + "''")


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


def keras_words(text: str) -> list[str]:
    """Splits a review of the data set into words, as Keras did when it made its ids.

    Only ASCII letters are lowered, and only spaces, tabs, newlines and ASCII punctuation separate.

    >>> keras_words("It's GREAT,<br />isn't it?")
    ["it's", 'great', 'br', "isn't", 'it']
    """
    return [word for word in text.translate(_KERAS).split(" ") if word]


def split_words(text: str) -> list[str]:
    r"""Splits a text of a user into words: Keras' rule, with more separators.

    All whitespace and line ends of Unicode separate, and so do invisible spaces and typographic dashes and quotes. A
    typographic apostrophe becomes an ASCII one.

    >>> split_words("It\u2019s bad\r\nBORING\u00a0film")
    ["it's", 'bad', 'boring', 'film']
    """
    return [word for word in text.translate(_USERS).split(" ") if word]


def spans(text: str) -> list[tuple[int, int]]:
    """Returns the start and the end of each word of `split_words` in a text.

    >>> [("It's GREAT, isn't it?"[start:end]) for start, end in spans("It's GREAT, isn't it?")]
    ["It's", 'GREAT', "isn't", 'it']
    """
    return [match.span() for match in re.finditer("[^ ]+", text.translate(_USERS))]


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
