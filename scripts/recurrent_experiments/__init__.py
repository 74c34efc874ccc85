"""The commands recurrent-imdb, recurrent-memory and recurrent-speed of an installation.

A wheel keeps the experiments inside this package, so that no package called `experiments` stands at the top of
site-packages; in a checkout they lie beside `scripts`. Either way they are importable as `experiments`
in the processes of these commands. A program that wants more than the commands does the same:

    import recurrent_experiments
    recurrent_experiments.make_importable()
    from experiments.imdb.runs.open import open_run
"""

import importlib
import os
import sys
from pathlib import Path

__all__ = ["imdb", "make_importable", "memory", "speed"]


def make_importable() -> None:
    """Puts the folder that holds `experiments` on the path of this process and of those that it starts.

    Raises:
        ImportError: this process has imported another package of this name.
    """
    here = Path(__file__).resolve().parent
    folder = str(here if (here / "experiments").is_dir() else here.parents[1])
    other = sys.modules.get("experiments")
    if other is not None and f"{folder}{os.sep}experiments" not in other.__path__:
        raise ImportError(f"another package called experiments is imported, from {', '.join(other.__path__)}.")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if folder not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, inherited)])


def imdb() -> None:
    """The IMDB benchmark: recurrent-imdb --help."""
    _start("imdb")


def memory() -> None:
    """Tasks of long memory: recurrent-memory --help."""
    _start("memory")


def speed() -> None:
    """Speed beside other libraries: recurrent-speed --help."""
    _start("speed")


def _start(experiment: str) -> None:
    make_importable()
    from experiments.command_line import respond, start

    def main(arguments: list[str]) -> int:  # imports what may be missing where it is answered in words
        module = importlib.import_module(f"experiments.{experiment}.__main__")
        return module.main(arguments)

    start(lambda arguments: respond(experiment, lambda: main(list(arguments))))
