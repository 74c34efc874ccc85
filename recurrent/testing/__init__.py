"""Tests for a cell of your own: `check_cell` says what is wrong with it, and what to do. It needs no test runner."""

from recurrent.testing.check import check_cell

__all__ = ["check_cell"]
