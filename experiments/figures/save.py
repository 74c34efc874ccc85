"""Figures as files, each with its dark colours: no date and no random ids, so the same figure gives the same bytes."""

import io
from pathlib import Path
from typing import Any

from experiments.figures.palette import DARK
from experiments.figures.style import house_style

__all__ = ["save_figure", "to_svg"]


def save_figure(figure: Any, path: Path) -> None:
    """Writes one of Matplotlib's figures, all or nothing, as the path's ending says: .svg, .png or .pdf.

    An SVG follows the colour scheme of its page; the others are light.
    """
    from recurrent.training.atomic import replacing  # here, since JAX comes with it

    with replacing(path) as file:
        if path.suffix == ".svg":
            file.write(to_svg(figure).encode("utf-8"))
            return
        with house_style():
            figure.savefig(file, format=path.suffix.removeprefix("."), dpi=150)


def to_svg(figure: Any) -> str:
    """Returns the figure as SVG, in light colours, with rules that a dark page calls for.

    The background is a part of the picture: a viewer that does not know the rules (WebKit, for an SVG in an `<img>`)
    shows a light picture on its dark page, and not dark text on it.
    """
    content = io.StringIO()
    title = figure.get_suptitle().partition("\n")[0]
    with house_style():
        figure.savefig(content, format="svg", metadata={"Date": None, **({"Title": title} if title else {})})
    svg = content.getvalue()
    rules = [
        f'[style*="{attribute}: {light}"] {{ {attribute}: {dark} !important }}'
        for light, dark in DARK.items()
        for attribute in ("fill", "stroke")
        if f"{attribute}: {light}" in svg
    ]
    media = "\n".join(["@media (prefers-color-scheme: dark) {", *rules, "}"])
    return svg.replace("</style>", f"\n{media}\n</style>", 1)
