"""Exports of a trained run: files that other programs load."""
