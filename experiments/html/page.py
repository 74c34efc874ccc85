"""One HTML document out of a body, data, scripts and styles, such that no text in the data can become a part of it.

Data stands in a block of JSON in which `<`, `>` and `&` are written as escapes, so nothing in it ends the block. And a
script runs only if the document's policy names its hash: one that came in with a text would stay dead.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

__all__ = ["escape", "read", "render", "to_json"]

_FOLDER = Path(__file__).parent
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def render(
    title: str,
    body: str,
    data: Mapping[str, Any] | None = None,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> str:
    """Returns a whole document, which loads nothing from anywhere.

    Args:
        title: plain text.
        body: HTML, whose texts have been through `escape`. Scripts and `on...` attributes in it do not run.
        data: what `charts.data()` returns to the scripts; NaN and infinities become null.
        scripts: the contents of JavaScript files, which run after `charts.js` and the body.
        styles: the contents of CSS files, which come after `style.css`.

    Raises:
        ValueError: a script or a style would end its own element.
    """
    sheet = "\n".join(_checked(each, "style") for each in (read("style.css"), *styles))
    programs = [_checked(each, "script") for each in (read("charts.js"), *scripts)]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(programs)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{escape(title)}</title>",
            f"<style>{sheet}</style>",
            "</head>",
            "<body>",
            f"<main>{body}</main>",
            f'<script type="application/json" id="data">{to_json(data or {})}</script>',
            *(f"<script>{each}</script>" for each in programs),
            "</body>",
            "</html>\n",
        ]
    )


def to_json(value: Any) -> str:
    """Returns JSON that may stand in an HTML document; NumPy's arrays and numbers become lists and numbers."""
    return json.dumps(_plain(value), allow_nan=False, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def _plain(value: Any) -> Any:
    """Makes a value of JSON's own types; a number that JSON does not have becomes null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, str):  # half a surrogate pair could not be written as UTF-8
        return value.encode("utf-8", "replace").decode("utf-8")
    return value


def read(name: str, folder: Path = _FOLDER) -> str:
    """Returns the content of a file of this kit, or of another folder."""
    return (folder / name).read_text(encoding="utf-8")


def _checked(content: str, element: str) -> str:
    """Returns a script or style as a browser will read it, with one kind of line end, so that its hash is right."""
    found = re.search(rf"</{element}|<!--", content, re.IGNORECASE)
    if found:
        raise ValueError(f"A {element} can't contain {found[0]!r}, which ends or hides it: write it in two parts.")
    return content.replace("\r\n", "\n").replace("\r", "\n")


def _policy(programs: Sequence[str]) -> str:
    """Says what the document may do: run these scripts, style itself, show its own pictures, ask its own server."""
    hashes = (base64.b64encode(hashlib.sha256(each.encode("utf-8")).digest()).decode("ascii") for each in programs)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )
