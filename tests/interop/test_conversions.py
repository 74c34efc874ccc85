"""The page of conversions says what the code does; its measured numbers are those of the day it was written."""

import re
from pathlib import Path

import pytest

import recurrent
from tests.interop.conversions import DIFFERENCE, page
from tests.interop.libraries import LIBRARIES, MAPS, NEEDS

PAGE = Path(__file__).parents[2] / "docs" / "conversions.md"


def entries(text):
    """Returns the first table's entries by (library, cell)."""
    rows = [line.strip("| ").split(" | ") for line in text.split("## ")[0].splitlines() if line.startswith("| `")]
    return {
        (library, cell): row[1 + index]
        for cell, row in zip(recurrent.CELLS, rows, strict=True)
        for index, library in enumerate(LIBRARIES)
    }


def test_every_map_is_measured_and_within_what_is_promised():
    numbers = {
        place: re.findall(DIFFERENCE, entry.partition(" (")[0]) for place, entry in entries(PAGE.read_text()).items()
    }
    assert {place for place, found in numbers.items() if len(found) == 2} == set(MAPS)
    assert max(float(each) for found in numbers.values() for each in found) <= 1e-6


def test_the_reasons_on_the_page_are_the_errors_of_the_code():
    for module in {module for modules in NEEDS.values() for module in modules}:
        pytest.importorskip(module)
    text = PAGE.read_text(encoding="utf-8")
    versions = re.search(r"Measured with (.*)\.\n", text)[1]
    written = entries(text)
    assert page(lambda library, cell: written[library, cell].partition(" (")[0], versions) == text
