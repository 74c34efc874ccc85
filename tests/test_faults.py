from pathlib import Path

from tests.faults import FAULTS, find_tests, render

ROOT = Path(__file__).parents[1]


def test_every_fault_is_provoked_by_a_test():
    found = find_tests()
    assert set(found) == set(FAULTS)
    assert [number for number, tests in found.items() if not tests] == []


def test_the_document_is_that_of_the_table():
    assert (ROOT / "docs" / "faults.md").read_text(encoding="utf-8") == render()
