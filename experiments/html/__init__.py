"""A kit for pages that stand alone: one HTML file with all that it needs, which asks no network for anything.

`render` puts a page together, `style.css` makes it readable on a phone, on paper, in the light and in the dark, and
`charts.js` draws in it: `charts.line(element, options)` and `charts.bars(element, options)`.
"""

from experiments.html.page import escape, read, render, to_json

__all__ = ["escape", "read", "render", "to_json"]
