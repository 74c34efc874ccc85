"""The reference has every public name, and every public name has an example, which runs as a doctest."""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import recurrent
from recurrent import interop

DOCS = Path(__file__).parents[1] / "docs"
PACKAGES = (
    "recurrent",
    "recurrent.cells",
    "recurrent.cells.profiles",
    "recurrent.network",
    "recurrent.packing",
    "recurrent.stream",
    "recurrent.regularize",
    "recurrent.inspect",
    "recurrent.native",
    "recurrent.sharding",
    *(f"recurrent.interop.{name}" for name in interop.__all__),
    "recurrent.layers.nnx",
    "recurrent.layers.linen",
    "recurrent.layers.equinox",
    "recurrent.layers.keras",
    "recurrent.testing",
    "recurrent.training",
    "recurrent.training.loggers",
)
NEEDS = {"recurrent.layers.equinox": "equinox", "recurrent.layers.keras": "keras"}


def public_names(package):
    """Returns what is public and no module: a cell's module has a section of its own."""
    module = importlib.import_module(package)
    return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]


def pages():
    return "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))


def listed():
    """Returns the objects that the reference's directives name."""
    found = re.findall(r"^\.\. auto(?:function|class|exception|data):: ([\w.]+)$", pages(), flags=re.M)
    places = [name.rpartition(".") for name in found]
    missing = [package for package, library in NEEDS.items() if importlib.util.find_spec(library) is None]
    there = [(module, name) for module, _, name in places if module not in missing]
    return {id(getattr(importlib.import_module(module), name)) for module, name in there}


def importable(package):
    if package in NEEDS:
        pytest.importorskip(NEEDS[package])
    return importlib.import_module(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package):
    module, there = importable(package), listed()
    assert [name for name in public_names(package) if id(getattr(module, name)) not in there] == []


def test_every_cell_is_in_the_reference():
    there = re.findall(r"automodule:: recurrent\.cells\.(\w+)", pages())
    assert set(recurrent.CELLS) <= set(there)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_function_and_class_has_an_example(package):
    module = importable(package)
    described = [name for name in public_names(package) if name not in ("CELLS", "PROFILES")]  # data has no docstring
    assert [name for name in described if ">>> " not in (inspect.getdoc(getattr(module, name)) or "")] == []


@pytest.mark.parametrize("cell", recurrent.CELLS)
def test_every_cell_has_an_example(cell):
    assert ">>> " in inspect.getdoc(recurrent.CELLS[cell].init)
