"""`scripts/imdb doctor`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from experiments.machine import start_jax


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Examines a run without changing it: what is whole, what is not, and what a resume would do."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    repair: bool = False
    """Does what a resume would do to the folder: moves damaged checkpoints aside and mends the files."""
    json: bool = False
    """Answers with one JSON object."""

    def run(self) -> int:
        """Examines, repairs where asked to, and prints; 0 if in the end all is whole, else 1."""
        start_jax("cpu")
        from experiments.imdb.commands import show
        from experiments.imdb.runs.doctor import diagnose, repair, to_json

        out = show.console()
        done = repair(self.run_dir) if self.repair else []
        diagnosis = diagnose(self.run_dir)
        if self.json:
            print(to_json(diagnosis))
        else:
            for line in [*(f"done: {each}" for each in done), *show.diagnosis_text(diagnosis)]:
                out.print(line, markup=False)
        return 0 if diagnosis.is_whole else 1
