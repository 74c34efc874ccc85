"""Pictures in one house style: readable on light and on dark pages, and on a phone.

`palette` holds the colours, `style` what all figures share, and `save` writes them. A picture is drawn in light
colours. An SVG carries the dark ones too and follows the scheme of the page that shows it.
"""

from experiments.figures.palette import BACKGROUND, CELLS, GRID, MUTED, OTHERS, REFERENCE, SERIES, TEXT, Colour
from experiments.figures.save import save_figure, to_svg
from experiments.figures.style import SETTINGS, house_style, key_below, new_figure

__all__ = [
    "BACKGROUND",
    "CELLS",
    "GRID",
    "MUTED",
    "OTHERS",
    "REFERENCE",
    "SERIES",
    "SETTINGS",
    "TEXT",
    "Colour",
    "house_style",
    "key_below",
    "new_figure",
    "save_figure",
    "to_svg",
]
