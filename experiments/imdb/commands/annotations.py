"""Annotations of options whose default a command decides itself; their help texts state it."""

import tyro

__all__ = ["FOLDER_OR_FILE", "RUNS", "SOURCE", "TEXTS"]

FOLDER_OR_FILE = tyro.conf.arg(metavar="PATH", help_behavior_hint="")
SOURCE = tyro.conf.arg(metavar="SOURCE", help_behavior_hint="")
RUNS = tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="")
TEXTS = tyro.conf.arg(metavar="[TEXT ...]", help_behavior_hint="")
