"""Names that a user types, such as cells and commands: found in any spelling, or refused with a suggestion."""

import difflib
from collections.abc import Collection

__all__ = ["look_up", "unknown"]


def look_up(kind: str, name: str, known: Collection[str]) -> str:
    """Returns the known name; case, - and _ do not matter.

    Raises:
        ValueError: there is no such name; suggests a similar one.

    >>> look_up("cell", "SimpleRNN", ["lstm", "simple_rnn"])
    'simple_rnn'
    """
    plain = {_plain(each): each for each in known}
    if _plain(name) not in plain:
        raise ValueError(unknown(kind, name, known))
    return plain[_plain(name)]


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """Returns a message for an unknown name, with a similar known one as a suggestion.

    >>> unknown("command", "trian", ["train", "evaluate"])
    "there is no command 'trian'. Did you mean 'train'? There are: train, evaluate."
    """
    plain = {_plain(each): each for each in known}
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.4)
    suggestion = f" Did you mean {plain[close[0]]!r}?" if close else ""
    return f"there is no {kind} {name!r}.{suggestion} There are: {', '.join(known)}."


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
