"""Turns this project's docstrings and annotations, which are plain text, into what Sphinx reads."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain

SECTION = re.compile(r"(Args|Returns|Yields|Raises|Attributes|Source):$")


def process_docstring(app: Sphinx, kind: str, name: str, owner: Any, options: Any, lines: list[str]) -> None:
    """Escapes what reStructuredText would take for markup, and lists the fields of a NamedTuple."""
    if hasattr(owner, "_fields"):  # attributes of a NamedTuple are its arguments
        lines[:] = ["Args:" if line == "Attributes:" else line for line in lines]
    example = next((index for index, line in enumerate(lines) if line.startswith(">>>")), len(lines))
    lines[example:example] = _list_fields(owner)
    lines[:] = _mark_up(lines)


def _mark_up(lines: list[str]) -> Iterator[str]:
    is_literal, before, text = False, "", ""
    for line in lines:
        is_indented = line.startswith("    ")
        if line and not is_indented:
            is_literal = False
        if is_indented and not before and not is_literal and not _is_section(lines, line):
            is_literal = True  # an equation or a drawing
            if not text.endswith("::"):
                yield from ("::", "")
        is_code = is_literal or line.lstrip().startswith((">>>", "..."))
        yield line if is_code else _escape(line)
        before, text = line, line or text


def _is_section(lines: list[str], line: str) -> bool:
    """Says whether an indented line that follows an empty one belongs to a section such as Args."""
    above = [each for each in lines[: lines.index(line)] if each and not each.startswith(" ")]
    return bool(above) and SECTION.match(above[-1]) is not None


def _escape(line: str) -> str:
    """Escapes asterisks, bars and underscores at the end of words, but not in code and not around a stressed word."""
    parts = re.split(r"(``.*?``|`[^`]*`|(?<!\S)\*[A-Za-z][A-Za-z ]*\*(?!\w))", line)
    return "".join(
        part if index % 2 else re.sub(r"([*|]|_\b(?!\w))", r"\\\1", part) for index, part in enumerate(parts)
    )


def _list_fields(owner: Any) -> list[str]:
    """Returns a section on the fields of a NamedTuple that have a comment beside them."""
    if not (isinstance(owner, type) and hasattr(owner, "_fields")):
        return []
    lines = _source(owner).splitlines()
    comments = {ast.unparse(field.target): lines[field.lineno - 1].partition("  # ")[2] for field in _fields(owner)}
    section = [f"    {name}: {comment}" for name, comment in comments.items() if comment]
    return ["Args:", *section, ""] if section else []


def process_signature(app: Sphinx, kind: str, name: str, owner: Any, *_: Any) -> tuple[str, str] | None:
    """Returns arguments and result as the source has them: shapes stay readable, aliases keep their names."""
    if kind not in ("class", "exception", "function", "method"):
        return None
    if kind == "class" and "__init__" not in _own_methods(owner):
        fields = [ast.unparse(field) for field in _fields(owner)]
        return (f"({', '.join(fields)})" if fields else ""), ""
    function = owner.__init__ if kind in ("class", "exception") else inspect.unwrap(owner)
    try:
        (node,) = ast.parse(_source(function)).body
    except (OSError, TypeError):
        return None
    if not isinstance(node, ast.FunctionDef):
        return None
    if kind != "function" and node.args.args[:1] and node.args.args[0].arg == "self":
        node.args.args.pop(0)
    returns = "" if node.returns is None or kind in ("class", "exception") else ast.unparse(node.returns)
    return f"({ast.unparse(node.args)})", returns


def skip_member(app: Sphinx, kind: str, name: str, member: Any, *_: Any) -> bool | None:
    """Leaves out the fields of a NamedTuple, which stand in its signature."""
    return True if (inspect.getdoc(member) or "").startswith("Alias for field number") else None


def _own_methods(owner: type) -> set[str]:
    (node,) = ast.parse(_source(owner)).body
    return {each.name for each in node.body if isinstance(each, ast.FunctionDef)}  # type: ignore[attr-defined]


def _fields(owner: type) -> list[ast.AnnAssign]:
    (node,) = ast.parse(_source(owner)).body
    return [each for each in node.body if isinstance(each, ast.AnnAssign)]  # type: ignore[attr-defined]


def _source(owner: Any) -> str:
    return textwrap.dedent(inspect.getsource(owner))


class Names(PythonDomain):
    """Links a name only where it is one thing: `State` alone could be any cell's."""

    def find_obj(self, *arguments: Any, **options: Any) -> list[Any]:
        """Returns what a name stands for, if that is clear."""
        found = super().find_obj(*arguments, **options)
        return found if len(found) == 1 else []


def setup(app: Sphinx) -> dict[str, bool]:
    """Comes before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", process_docstring, priority=400)
    app.connect("autodoc-skip-member", skip_member)
    app.add_domain(Names, override=True)
    app.connect("autodoc-process-signature", process_signature)
    return {"parallel_read_safe": True}
