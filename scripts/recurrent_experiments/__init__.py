"""The commands recurrent-imdb, recurrent-memory and recurrent-speed of an installation.

A wheel has the experiments inside this package, so that it installs no top-level package called `experiments`; in a
checkout they are beside `scripts`. In the processes of these commands, they can be imported as `experiments`. Other
programs can import them in the same way:

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
    """Adds the folder of `experiments` to the import path of this process and of those that it starts.

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
    """Runs the IMDB benchmark; see recurrent-imdb --help."""
    _start("imdb")


def memory() -> None:
    """Runs the memory tasks; see recurrent-memory --help."""
    _start("memory")


def speed() -> None:
    """Compares the speed of libraries; see recurrent-speed --help."""
    _start("speed")


def _start(experiment: str) -> None:
    make_importable()
    from experiments.command_line import respond, start

    def main(arguments: list[str]) -> int:  # imports where a missing package becomes a one-line message
        module = importlib.import_module(f"experiments.{experiment}.__main__")
        return module.main(arguments)

    start(lambda arguments: respond(experiment, lambda: main(list(arguments))))
