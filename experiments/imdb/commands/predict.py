"""`scripts/imdb predict`."""

import dataclasses
import json
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.imdb.commands.annotations import TEXTS
from experiments.imdb.commands.given_texts import as_text, read_lines
from experiments.machine import start_jax


@dataclasses.dataclass(frozen=True)
class Predict:
    """Classifies texts with a trained run: each argument, or each line of standard input."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    text: Annotated[tuple[str, ...], tyro.conf.Positional, TEXTS] = ()
    """Texts. Default: the lines of standard input."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint of the run."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "cpu"
    """The device."""
    json: bool = False
    """Prints one JSON object per line."""

    def run(self) -> int:
        """Predicts and prints one line per text."""
        from experiments.imdb.runs.files import read_recipe

        recipe = read_recipe(self.run_dir)
        start_jax(self.device, 1, recipe.dtype == "float64")
        from experiments.imdb.answers.predict import make_predictor
        from experiments.imdb.commands.show.answers import prediction_line
        from experiments.imdb.commands.show.terminal import console
        from experiments.imdb.runs.open import open_run

        run = open_run(self.run_dir, self.checkpoint)
        predict = make_predictor(run)
        width = console().width
        texts = map(as_text, self.text) if self.text else read_lines()
        while chunk := list(islice(texts, 256)):
            for prediction in predict(chunk):
                line = (
                    json.dumps(prediction._asdict()) if self.json else prediction_line(prediction, width, run.classes)
                )
                print(line, flush=True)
        return 0
