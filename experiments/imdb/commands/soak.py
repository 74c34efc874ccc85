"""`scripts/imdb soak`."""

import dataclasses
import datetime
import json
import sys
from pathlib import Path
from typing import Annotated

from experiments.folders import check_output_file, runs_folder
from experiments.imdb.commands.annotations import FOLDER_OR_FILE
from experiments.machine import start_jax

START_SECONDS = 8.0


@dataclasses.dataclass(frozen=True)
class Soak:
    """Kills a training run many times, and compares its result with that of a run that was never killed."""

    kills: int = 200
    """Number of times to kill a process with SIGKILL."""
    processes: int = 1
    """Processes that train the run together, on this machine. One of them is killed, at random; the others must end by
    themselves within 60 s."""
    recipe: str = "lstm"
    """The recipe."""
    epochs: int = 10
    """Passes over the reviews."""
    save_every: int = 3
    """Steps between checkpoints; few, so many kills hit a save."""
    seed: int = 0
    """Seed of the times of the kills."""
    folder: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of both runs. Default: runs/soak."""
    data_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of prepared reviews. Default: data/."""
    output: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The log. Default: soak.json in the folder of both runs."""

    def run(self) -> int:
        """Runs the test; returns 0 if nothing differs, else 1."""
        for name in ("kills", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, not {getattr(self, name)}.")
        start_jax("cpu")
        from experiments.imdb.runs.files import read_recipe
        from experiments.imdb.runs.soak import Soak, compare_runs, soak
        from experiments.imdb.training.train import make_start
        from recurrent.processor import processor_name

        folder = self.folder or runs_folder() / "soak"
        output = self.output or folder / "soak.json"
        check_output_file(output)
        plan = Soak(self.kills, self._command, self.seed, folder, START_SECONDS, processes=self.processes)
        found = soak(plan, lambda number, life: print(f"kill {number:>3}  {json.dumps(life)}", flush=True))
        whole, killed = folder / "whole", folder / "killed"
        differing = compare_runs(whole, killed, make_start(read_recipe(whole)))
        about = {"date": datetime.date.today().isoformat(), "processor": processor_name(), "options": self._options()}
        output.write_text(json.dumps({**about, "differences": differing, **found}, indent=1) + "\n")
        print(f"written  {output}")
        print(f"{self.kills} kills: {'; '.join(differing) or 'every array and every record is bitwise the same'}")
        return 1 if differing else 0

    def _options(self) -> list[str]:
        options = [f"--recipe={self.recipe}", f"--epochs={self.epochs}", f"--save-every={self.save_every}"]
        return options if self.processes == 1 else [*options, f"--num-shards={self.processes}"]

    def _command(self, path: Path) -> list[str]:
        data = [] if self.data_dir is None else [f"--data-dir={self.data_dir}"]
        return [sys.executable, "-m", "experiments.imdb", "train", *self._options(), *data, f"--run-dir={path}"]
