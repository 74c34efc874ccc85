"""One text with its label, checked: what every reader of own data yields."""

import math
from typing import Any, NamedTuple

__all__ = ["LABEL_MAX_CHARACTERS", "LINE_MAX_BYTES", "TEXT_MAX_BYTES", "Row", "make_row", "shown"]

TEXT_MAX_BYTES = 1 << 20
LINE_MAX_BYTES = 8 << 20  # JSON may write a character of two bytes with six
LABEL_MAX_CHARACTERS = 200
_SHOWN = 60


class Row(NamedTuple):
    """A text and its label."""

    text: str
    label: str
    place: str  # file and line, for messages


def make_row(text: Any, label: Any, place: str) -> Row:
    """Checks what was read, and returns it as a row.

    Raises:
        ValueError: the text is no text or too long, or there is no label; says where, and what to do.
    """
    if not isinstance(text, str):
        raise ValueError(f"{place}: the text is {shown(text)}, not a string. Correct it, or remove it.")
    name = _label_name(label, place)
    if len(name) > LABEL_MAX_CHARACTERS:
        raise ValueError(
            f"{place}: the label {shown(name)} has {len(name):,} characters, more than the {LABEL_MAX_CHARACTERS} "
            "allowed. Are text and label exchanged?"
        )
    for what, value in (("text", text), ("label", name)):
        if "\0" in value:
            raise ValueError(f"{place}: the {what} {shown(value)} contains a NUL character. Remove the character.")
        if _num_bytes(value, what, place) > TEXT_MAX_BYTES:
            raise ValueError(f"{place}: the {what} has more than {TEXT_MAX_BYTES:,} bytes. Shorten it, or split it.")
    return Row(text, name, place)


def _num_bytes(value: str, what: str, place: str) -> int:
    if value.isascii():
        return len(value)
    try:
        return len(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        half = value[error.start]
        raise ValueError(
            f"{place}: character {error.start} of the {what}, {half!r}, is half of a surrogate pair. Remove it."
        ) from error


def _label_name(label: Any, place: str) -> str:
    """Returns the name of a label's class: 1, 1.0, "1" and " 1 " are the class "1"."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if isinstance(label, bool):
        label = str(label).lower()
    is_missing = label is None or (isinstance(label, float) and math.isnan(label))
    if is_missing or (isinstance(label, str) and not label.strip()):
        raise ValueError(f"{place}: there is no label. Add one, or remove the text.")
    if not isinstance(label, str | int | float):
        raise ValueError(f"{place}: the label is {shown(label)}, neither a string nor a number. Correct it.")
    return str(label).strip()


def shown(value: Any) -> str:
    """Returns a value as it is written in Python, shortened.

    >>> shown("x" * 100)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"
    """
    text = repr(value[: _SHOWN + 1] if isinstance(value, str | bytes | list) else value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
