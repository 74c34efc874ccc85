"""One HTML document that stands alone: templates by Jinja2, and a policy that lets only named scripts run.

Jinja2 escapes every value in a template. Data stands in a block of JSON in which `<`, `>` and `&` are written as
escapes, so no value can end the block. A script runs only if the policy holds its hash, so a script inside a text
never runs.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiments.html.colours import colour_rules
from experiments.html.data import to_json

__all__ = ["Markup", "fill", "read", "render"]

_FOLDER = Path(__file__).parent


def render(
    title: str,
    body: Markup,
    data: Mapping[str, Any] | None = None,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> str:
    """Returns a whole document that loads nothing.

    Args:
        title: plain text.
        body: HTML, such as `fill` returns. A plain string is escaped. Scripts and `on...` attributes in it do not run.
        data: values for the scripts, which read them by `charts.data()`; NaN and infinity become null.
        scripts: contents of JavaScript files. They run in this order, after the body.
        styles: contents of CSS files. They come after `style.css`.

    Raises:
        ValueError: a script or a style contains the end of its own element.
    """
    programs = [_checked(each, "script") for each in scripts]
    return fill(
        _FOLDER / "page.html",
        title=title,
        body=body,
        policy=_policy(programs),
        style=Markup("\n".join(_checked(each, "style") for each in (colour_rules(), read("style.css"), *styles))),
        scripts=[Markup(each) for each in programs],
        data=None if data is None else Markup(to_json(data)),
    )


def fill(path: Path, **values: Any) -> Markup:
    """Fills a template with values; every value that is no `Markup` is escaped.

    Args:
        path: the template. It can import `parts.html` of this kit, and templates of its own folder.

    Raises:
        jinja2.UndefinedError: the template names a value that is not given.
    """
    return Markup(_templates(path.parent).get_template(path.name).render(values))


@cache
def _templates(folder: Path) -> Environment:
    loader = FileSystemLoader([folder, _FOLDER])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def read(name: str, folder: Path = _FOLDER) -> str:
    """Returns the content of a file of this kit, or of another folder."""
    return (folder / name).read_text(encoding="utf-8")


def _checked(content: str, element: str) -> str:
    """Returns a script or style with the line ends that a browser sees, so that its hash is right."""
    found = re.search(rf"</{element}|<!--", content, re.IGNORECASE)
    if found:
        raise ValueError(f"A {element} can't contain {found[0]!r}, which ends or hides it: write it in two parts.")
    return content.replace("\r\n", "\n").replace("\r", "\n")


def _policy(programs: Sequence[str]) -> str:
    """Returns what the document may do: run these scripts, style itself, show its own images, ask its own server."""
    hashes = (base64.b64encode(hashlib.sha256(each.encode("utf-8")).digest()).decode("ascii") for each in programs)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )
