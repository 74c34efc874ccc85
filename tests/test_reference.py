"""The reference has every public name, and every public name has an example that runs."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import recurrent

DOCS = Path(__file__).parents[1] / "docs"
PACKAGES = (
    "recurrent",
    "recurrent.cells",
    "recurrent.network",
    "recurrent.packing",
    "recurrent.regularize",
    "recurrent.inspect",
    "recurrent.layers.nnx",
    "recurrent.layers.linen",
    "recurrent.training",
)


def public_names(package):
    """Returns what is public and no module: a cell's module has a section of its own."""
    module = importlib.import_module(package)
    return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]


def pages():
    return "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))


def listed():
    """Returns the objects that the reference's directives name."""
    found = re.findall(r"^\.\. auto(?:function|class|exception|data):: ([\w.]+)$", pages(), flags=re.M)
    objects = [getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in found]
    return {id(each) for each in objects}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package):
    module, there = importlib.import_module(package), listed()
    assert [name for name in public_names(package) if id(getattr(module, name)) not in there] == []


def test_every_cell_is_in_the_reference():
    there = re.findall(r"automodule:: recurrent\.cells\.(\w+)", pages())
    assert set(recurrent.CELLS) <= set(there)


def examples():
    """Returns all code that runs as a test and that a reader of the documents sees: docstrings' and the pages'."""
    for each in pkgutil.walk_packages(recurrent.__path__, "recurrent."):
        source = inspect.getsource(importlib.import_module(each.name))
        yield from re.findall(r"^\s*(?:>>>|\.\.\.) (.*)$", source, flags=re.M)
    for path in (DOCS / "how-to").glob("*.md"):
        yield from re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.S)


def made_by(name):
    """Returns a public function whose result has this type, and whose example is therefore the type's too."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        for other in public_names(package):
            result = getattr(getattr(module, other), "__annotations__", {}).get("return")
            if getattr(result, "__name__", None) == name:
                yield other


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_example_that_runs(package):
    code = "\n".join(examples())

    def is_shown(name):
        return re.search(rf"\b{name}\b", code) is not None

    assert [
        name for name in public_names(package) if not is_shown(name) and not any(map(is_shown, made_by(name)))
    ] == []
