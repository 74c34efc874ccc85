"""Splits texts into words: the data set's by Keras' rule, users' by the same rule with more separators.

Users' texts contain characters that are rare in the training texts (other line ends and spaces, typographic quotes).
Keras' rule keeps them inside words, which are then unknown to the model.
"""

import re
from typing import NamedTuple

__all__ = ["LocatedWord", "keras_words", "located_words", "split_words", "user_characters"]

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


def keras_words(text: str) -> list[str]:
    """Splits a review of the data set into words, as Keras did when it made its ids.

    Only ASCII letters are lowered, and only spaces, tabs, newlines and ASCII punctuation separate.

    >>> keras_words("It's GREAT,<br />isn't it?")
    ["it's", 'great', 'br', "isn't", 'it']
    """
    return [word for word in text.translate(_KERAS).split(" ") if word]


class LocatedWord(NamedTuple):
    """A word, and where it stands in its text."""

    word: str
    start: int
    end: int


def located_words(text: str) -> list[LocatedWord]:
    """Splits a user's text into words: Keras' rule, with more separators.

    All whitespace and line ends of Unicode separate, and so do invisible spaces and typographic dashes and quotes. A
    typographic apostrophe becomes an ASCII one.

    >>> located_words("It's GREAT")
    [LocatedWord(word="it's", start=0, end=4), LocatedWord(word='great', start=5, end=10)]
    """
    # The table maps each character to one character, so places in the result are places in the text.
    return [LocatedWord(match[0], *match.span()) for match in re.finditer("[^ ]+", text.translate(_USERS))]


def split_words(text: str) -> list[str]:
    r"""Returns the words of `located_words`.

    >>> split_words("It\u2019s bad\r\nBORING\u00a0film")
    ["it's", 'bad', 'boring', 'film']
    """
    return [each.word for each in located_words(text)]


def user_characters() -> dict[str, str]:
    """Returns what each character of a user's text becomes before the text is split at spaces.

    >>> characters = user_characters()
    >>> characters["A"], characters["!"], "a" in characters
    ('a', ' ', False)
    """
    return {chr(code): chr(replacement) for code, replacement in _USERS.items()}
