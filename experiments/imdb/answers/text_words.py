"""The words of a user's text as a model reads them: the one path from a text to ids for every answer."""

from typing import Literal, NamedTuple

from experiments.imdb.reviews.words import located_words
from experiments.imdb.vocabulary import UNKNOWN_ID, Vocabulary, word_ids

__all__ = ["TextWord", "text_words"]


class TextWord(NamedTuple):
    """A word: where it stands in the text, and its id."""

    start: int
    end: int
    id: int | None  # None: dropped, since the training text lacks it

    @property
    def status(self) -> Literal["known", "unknown", "dropped"]:
        """Whether the vocabulary has the word, reads it as the unknown word, or drops it."""
        if self.id is None:
            return "dropped"
        return "unknown" if self.id == UNKNOWN_ID else "known"


def text_words(vocabulary: Vocabulary, text: str) -> list[TextWord]:
    """Splits a text into words and looks up their ids."""
    located = located_words(text)
    ids = word_ids(vocabulary, (each.word for each in located))
    return [TextWord(each.start, each.end, number) for each, number in zip(located, ids, strict=True)]
