"""HTML pages that stand alone: one file each, with nothing to load.

`fill` fills a template, `render` makes a whole document of it. `style.css` lays pages out on a phone, on a desktop and
on paper; `colours.py` has their colours, light and dark. `parts.html` holds the templates' common parts. `charts.js`
draws a curve that a script can change; `words.js` shows a text whose words can be chosen.
"""

from experiments.html.data import to_json
from experiments.html.page import Markup, fill, read, render

__all__ = ["Markup", "fill", "read", "render", "to_json"]
