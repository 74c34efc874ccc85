"""`scripts/imdb doctor`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from experiments.machine import start_jax


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Checks the files of a run: which are intact, which are corrupt, and what a resume would do."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    repair: bool = False
    """Repairs the folder as a resume does: quarantines corrupt checkpoints and repairs files."""
    json: bool = False
    """Prints one JSON object."""

    def run(self) -> int:
        """Checks, repairs if asked, and prints; returns 0 if everything is intact afterwards, else 1."""
        start_jax("cpu")
        from experiments.imdb.commands.show.answers import diagnosis_text
        from experiments.imdb.commands.show.terminal import console
        from experiments.imdb.runs.doctor import diagnose, to_json
        from experiments.imdb.runs.repair import repair

        out = console()
        done = repair(self.run_dir) if self.repair else []
        diagnosis = diagnose(self.run_dir)
        if self.json:
            print(to_json(diagnosis))
        else:
            for line in [*(f"done: {each}" for each in done), *diagnosis_text(diagnosis)]:
                out.print(line, markup=False)
        return 0 if diagnosis.is_whole else 1
