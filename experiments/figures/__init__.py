"""Pictures in one house style: readable on light and on dark pages, and on a phone.

`palette` holds colours, looks and names, `style` the settings of all figures, `keys` the entries of their keys, and
`save` writes them. A picture is drawn in light colours. An SVG carries the dark ones too, and follows the colour scheme
of its page.
"""

from experiments.figures.keys import band_key, line_key, mark_key, reference_line
from experiments.figures.palette import (
    BACKGROUND,
    CELL_LABELS,
    CELLS,
    GRID,
    LOOKS,
    MUTED,
    OTHERS,
    REFERENCE,
    SERIES,
    TEXT,
    Colour,
    Look,
)
from experiments.figures.save import INLINE_STYLE, save_figure, to_inline_svg, to_svg
from experiments.figures.style import SETTINGS, house_style, key_below, label_plainly, label_powers, new_figure

__all__ = [
    "BACKGROUND",
    "CELLS",
    "CELL_LABELS",
    "GRID",
    "INLINE_STYLE",
    "LOOKS",
    "MUTED",
    "OTHERS",
    "REFERENCE",
    "SERIES",
    "SETTINGS",
    "TEXT",
    "Colour",
    "Look",
    "band_key",
    "house_style",
    "key_below",
    "label_plainly",
    "label_powers",
    "line_key",
    "mark_key",
    "new_figure",
    "reference_line",
    "save_figure",
    "to_inline_svg",
    "to_svg",
]
