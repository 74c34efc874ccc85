"""Figures as files and inside pages, in light and dark colours.

No date and no random ids are written, so the same figure gives the same bytes.
"""

import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from experiments.figures.palette import BACKGROUND, DARK
from experiments.figures.style import house_style

__all__ = ["INLINE_STYLE", "save_figure", "to_inline_svg", "to_svg"]

_SVG, _LINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"


def save_figure(figure: Any, path: Path) -> None:
    """Writes a Matplotlib figure, all or nothing, in the format of the path's suffix: .svg, .png or .pdf.

    An SVG follows the colour scheme of its page; the others are light.
    """
    from recurrent.training.atomic import replacing  # here, since it imports JAX

    with replacing(path) as file:
        if path.suffix == ".svg":
            file.write(to_svg(figure).encode("utf-8"))
            return
        with house_style():
            figure.savefig(file, format=path.suffix.removeprefix("."), dpi=150)


def to_svg(figure: Any) -> str:
    """Returns the figure as an SVG file, in light colours, with rules for a dark page.

    The background is a part of the picture. So a viewer that ignores the rules (WebKit, for an SVG in an `<img>`) shows
    a light picture on its dark page, instead of dark text on it.
    """
    svg = _drawn(figure)
    media = "\n".join(["@media (prefers-color-scheme: dark) {", *_dark_rules(svg), "}"])
    return svg.replace("</style>", f"\n{media}\n</style>", 1)


def to_inline_svg(figure: Any, name: str, label: str) -> str:
    """Returns the figure as an SVG element of a page that has `INLINE_STYLE`.

    Args:
        name: of the picture, unique in the page. Every id starts with it, so ids of several pictures differ.
        label: what a screen reader says.
    """
    root = ElementTree.fromstring(_drawn(figure))
    for unused in root.findall(f"{{{_SVG}}}metadata") + root.findall(f"{{{_SVG}}}title"):
        root.remove(unused)
    for parent in root.iter():
        for style in parent.findall(f"{{{_SVG}}}style"):  # it would apply to the whole page
            parent.remove(style)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        for attribute, value in list(element.attrib.items()):
            if attribute == "id":
                element.set("id", f"{name}-{value}")
            elif attribute == _LINK:
                del element.attrib[_LINK]
                element.set("href", value.replace("#", f"#{name}-", 1))
            else:
                element.set(attribute, value.replace("url(#", f"url(#{name}-"))
    root.attrib.update({"class": "picture", "role": "img", "aria-label": label})
    return ElementTree.tostring(root, encoding="unicode")


def _drawn(figure: Any) -> str:
    """Returns Matplotlib's SVG of the figure, in light colours."""
    content = io.StringIO()
    title = figure.get_suptitle().partition("\n")[0]
    with house_style():
        figure.savefig(content, format="svg", metadata={"Date": None, **({"Title": title} if title else {})})
    return content.getvalue()


def _dark_rules(svg: str) -> list[str]:
    """Returns a CSS rule for each light colour that is used."""
    return [
        f'[style*="{attribute}: {light}"] {{ {attribute}: {dark} !important }}'
        for light, dark in DARK.items()
        for attribute in ("fill", "stroke")
        if f"{attribute}: {light}" in svg
    ]


def _inline_style() -> str:
    """Returns rules without an ancestor, since the copies that `<use>` draws have none."""
    every = " ".join(f"{attribute}: {light}" for light in DARK for attribute in ("fill", "stroke"))
    dark = [rule for rule in _dark_rules(every) if BACKGROUND.light not in rule]
    background = [
        f'[style*="{attribute}: {BACKGROUND.light}"] {{ {attribute}: var(--background) !important }}'
        for attribute in ("fill", "stroke")
    ]
    shape = ".picture { stroke-linejoin: round; stroke-linecap: butt }"
    return "\n".join([shape, *background, "@media (prefers-color-scheme: dark) {", *dark, "}"])


INLINE_STYLE = _inline_style()
"""CSS for pages with inline pictures: their background is the page's, and a dark page has their dark colours."""
