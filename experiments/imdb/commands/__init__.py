"""The commands, one per file: a frozen dataclass of options whose `run` does the work and returns the exit code."""

from typing import Protocol

from experiments.imdb.commands.doctor import Doctor
from experiments.imdb.commands.evaluate import Evaluate
from experiments.imdb.commands.explain import Explain
from experiments.imdb.commands.export import Export
from experiments.imdb.commands.import_model import Import
from experiments.imdb.commands.nbsvm import Nbsvm
from experiments.imdb.commands.predict import Predict
from experiments.imdb.commands.report import Report
from experiments.imdb.commands.resume import Resume
from experiments.imdb.commands.serve import Serve
from experiments.imdb.commands.serve_speed import ServeSpeed
from experiments.imdb.commands.soak import Soak
from experiments.imdb.commands.sweep import Sweep
from experiments.imdb.commands.train import Train

__all__ = [
    "Command",
    "Doctor",
    "Evaluate",
    "Explain",
    "Export",
    "Import",
    "Nbsvm",
    "Predict",
    "Report",
    "Resume",
    "Serve",
    "ServeSpeed",
    "Soak",
    "Sweep",
    "Train",
]


class Command(Protocol):
    """The options of a command, and its work."""

    def run(self) -> int:
        """Does the work and returns the exit code."""
        ...
