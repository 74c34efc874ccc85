"""`scripts/imdb soak`."""

import dataclasses
import datetime
import json
from pathlib import Path

from experiments.platform import start_jax


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
    folder: Path = Path("runs/soak")
    """Where the two runs lie."""
    output: Path = Path("docs/soak.json")
    """Where the log goes."""

    def run(self) -> int:
        """Soaks; 0 if nothing differs, else 1."""
        start_jax("cpu")
        from experiments.imdb.soak import Soak, soak
        from recurrent.training.environment import processor

        train = (f"--recipe={self.recipe}", f"--epochs={self.epochs}", f"--save-every={self.save_every}")
        plan = Soak(self.kills, train, self.seed, self.folder)
        found = soak(plan, lambda number, life: print(f"kill {number:>3}  {json.dumps(life)}", flush=True))
        found = {"date": datetime.date.today().isoformat(), "processor": processor(), **found}
        self.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        differing = "; ".join(found["differences"])
        print(f"{self.kills} kills: {differing or 'every leaf and every record is bitwise the same'}")
        return 1 if differing else 0
