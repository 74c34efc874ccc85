"""The colours of pages, light and dark, as CSS variables; what a figure has too has the figure's colour."""

from collections.abc import Iterator

from experiments.figures.palette import GRID, MUTED, SERIES, TEXT, Colour

__all__ = ["COLOURS", "colour_rules"]

COLOURS = {
    "background": Colour("#ffffff", "#14171b"),
    "surface": Colour("#f3f4f6", "#1f242a"),
    "text": TEXT,
    "muted": MUTED,
    "line": Colour("#c9ced6", "#4a525c"),
    "grid": GRID,
    "accent": Colour("#0b57a4", SERIES[0].dark),
    "positive": Colour("#1a7f4b", SERIES[1].dark),
    "negative": SERIES[4],
    "curve": SERIES[0],
    "for": Colour("#2f7fd1", "#3f86cc"),  # a word that raises a probability
    "against": Colour("#d9691e", "#bf6424"),
}
"""Name of a CSS variable, without its dashes -> its colour."""


def colour_rules() -> str:
    """Returns the CSS that defines the variables for a light and for a dark page.

    >>> "--curve: #1f5fa8;" in colour_rules()
    True
    """
    light, dark = ("\n".join(_variables(number)) for number in (0, 1))
    return (
        f":root {{\n  color-scheme: light dark;\n{light}\n}}\n"
        f"@media (prefers-color-scheme: dark) {{\n:root {{\n{dark}\n}}\n}}"
    )


def _variables(number: int) -> Iterator[str]:
    return (f"  --{name}: {colour[number]};" for name, colour in COLOURS.items())
