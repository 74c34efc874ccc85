"""`scripts/imdb soak`."""

import dataclasses
import datetime
import json
import sys
from pathlib import Path

from experiments.folders import check_output_file, runs_folder
from experiments.machine import start_jax

START_SECONDS = 8.0


@dataclasses.dataclass(frozen=True)
class Soak:
    """Kills a training run over and over, and compares what it ends with to one that was never killed."""

    kills: int = 200
    """How many processes are killed with SIGKILL."""
    recipe: str = "lstm"
    """What is trained."""
    epochs: int = 10
    """Passes over the reviews."""
    save_every: int = 3
    """Steps between checkpoints: few, so that many kills hit a save."""
    seed: int = 0
    """Decides the moments."""
    folder: Path | None = None
    """Where the two runs lie. If left out: runs/soak."""
    output: Path | None = None
    """Where the log goes. If left out: soak.json in the folder of the two runs."""

    def run(self) -> int:
        """Soaks; 0 if nothing differs, else 1."""
        start_jax("cpu")
        from experiments.imdb.runs.files import read_recipe
        from experiments.imdb.runs.soak import Soak, compare_runs, soak
        from experiments.imdb.training.train import make_start
        from recurrent.training.environment import processor

        folder = self.folder or runs_folder() / "soak"
        output = self.output or folder / "soak.json"
        check_output_file(output)
        plan = Soak(self.kills, self._command, self.seed, folder, START_SECONDS)
        found = soak(plan, lambda number, life: print(f"kill {number:>3}  {json.dumps(life)}", flush=True))
        whole, killed = folder / "whole", folder / "killed"
        differing = compare_runs(whole, killed, make_start(read_recipe(whole)))
        about = {"date": datetime.date.today().isoformat(), "processor": processor(), "options": self._options()}
        output.write_text(json.dumps({**about, "differences": differing, **found}, indent=1) + "\n")
        print(f"written  {output}")
        print(f"{self.kills} kills: {'; '.join(differing) or 'every leaf and every record is bitwise the same'}")
        return 1 if differing else 0

    def _options(self) -> list[str]:
        return [f"--recipe={self.recipe}", f"--epochs={self.epochs}", f"--save-every={self.save_every}"]

    def _command(self, path: Path) -> list[str]:
        return [sys.executable, "-m", "experiments.imdb", "train", *self._options(), f"--run-dir={path}"]
