"""Colours in pairs, for a light and for a dark page, and how each cell is drawn and called.

Against either background, text has a contrast of at least 4.5, and everything that carries data one of at least 3
(WCAG 2.2, 1.4.3 and 1.4.11). No distinction rests on colour alone: every look has a marker of its own.
"""

from typing import Any, NamedTuple

__all__ = [
    "BACKGROUND",
    "CELLS",
    "CELL_LABELS",
    "DARK",
    "GRID",
    "LOOKS",
    "MUTED",
    "OTHERS",
    "REFERENCE",
    "SERIES",
    "TEXT",
    "Colour",
    "Look",
]


class Colour(NamedTuple):
    """A colour on a light and on a dark page; no two colours share a light one."""

    light: str
    dark: str


class Look(NamedTuple):
    """How a line is drawn; variants of a cell share its hue and marker, and are hollow."""

    colour: Colour
    marker: str
    is_hollow: bool = False

    def style(self) -> dict[str, Any]:
        """Returns the arguments of Matplotlib's `plot`."""
        inside = BACKGROUND.light if self.is_hollow else self.colour.light
        return {"color": self.colour.light, "marker": self.marker, "markerfacecolor": inside}


BACKGROUND = Colour("#ffffff", "#0d1117")
TEXT = Colour("#1b1f24", "#e7eaee")
MUTED = Colour("#57606a", "#a5adb8")
REFERENCE = Colour("#6b7480", "#98a1ad")
GRID = Colour("#e4e7eb", "#2c333b")

SERIES = (  # pages use some of them too: html/colours.py
    Colour("#1f5fa8", "#7db7f5"),
    Colour("#1f7a4a", "#6fcf97"),
    Colour("#a85400", "#f2a65a"),
    Colour("#8e3a9d", "#d69be6"),
    Colour("#b3261e", "#ff8a80"),
    Colour("#00707a", "#5fd0d8"),
    Colour("#6b6500", "#d4cf5a"),
    Colour("#5a5f66", "#b3bac4"),
)
LOOKS = tuple(Look(colour, marker) for colour, marker in zip(SERIES, "s^oDPXv*", strict=True))
"""Looks that differ in colour and in marker."""

_PALE_BLUE, _PALE_GREEN = Colour("#4a8fd4", "#4f8fd0"), Colour("#3d9b69", "#3f9c6b")

CELLS = {
    "simple_rnn": LOOKS[2],
    "lstm": LOOKS[0],
    "lstm_chrono": Look(_PALE_BLUE, "s", is_hollow=True),
    "gru": LOOKS[1],
    "gru_chrono": Look(_PALE_GREEN, "^", is_hollow=True),
    "gru_reset_before": LOOKS[6],
    "layer_norm_lstm": LOOKS[3],
    "layer_norm_gru": LOOKS[4],
}
"""How each cell is drawn, in every picture."""

CELL_LABELS = {
    "simple_rnn": "SimpleRNN",
    "lstm": "LSTM",
    "lstm_chrono": "LSTM, chrono",
    "gru": "GRU",
    "gru_chrono": "GRU, chrono",
    "gru_reset_before": "GRU, reset before",
    "layer_norm_lstm": "LayerNorm LSTM",
    "layer_norm_gru": "LayerNorm GRU",
}
"""What each cell is called, in every picture, table and page."""

OTHERS = (  # for series that are not cells, after Okabe and Ito
    Colour("#d55e00", "#ff9a4d"),
    Colour("#9a6b00", "#edbd57"),
    Colour("#0072b2", "#66b5ea"),
    Colour("#5b7fd1", "#a8bfff"),
    Colour("#008763", "#4bd3a6"),
    Colour("#b3558a", "#eba3cd"),
)

DARK = {
    light: dark for light, dark in (BACKGROUND, TEXT, MUTED, REFERENCE, GRID, *SERIES, _PALE_BLUE, _PALE_GREEN, *OTHERS)
}
"""Light colour -> the dark one that takes its place."""
